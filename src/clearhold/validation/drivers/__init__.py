"""Drivers that recipes share: run inside the sandbox, by its own interpreters."""
