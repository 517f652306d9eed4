"""Who may look at what, when: scan leases, so that no two parties do the same work unknowingly."""
