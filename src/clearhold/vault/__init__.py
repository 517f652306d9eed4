"""Encryption per compartment: one key for each submission, scope or case."""
