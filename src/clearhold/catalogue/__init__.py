"""What is publicly known of packages: which may be scanned, and how; which flaws are public."""
