"""Asking whether a flaw is known without saying which (RFC 9497 in its verifiable mode)."""
