"""Candidate fixes, judged before anybody installs them."""
