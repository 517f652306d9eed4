"""What is said about a vulnerability, to whom, and when."""
