"""The HTTP API under /api/v1, named after the modules."""
