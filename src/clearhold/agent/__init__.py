"""The operator's side: learns what was published, finds what it hits here, applies fixes when told.

It trusts nothing but the root pinned at enrolment, sends nothing anywhere by itself, and changes an
environment only when its operator names that environment.
"""
