"""Looking for what is like a confirmed finding: the same mistake made elsewhere."""
