"""Who must act on a vulnerability, what they agreed to keep quiet, and until when."""
