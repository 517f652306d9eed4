"""Drafts of fuzz harnesses for packages that nobody has written one for."""
