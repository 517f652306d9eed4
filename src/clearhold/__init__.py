"""Clearhold: an AI cybersecurity clearinghouse."""
