"""What an operator must fix, by when, and whether the fix landed."""
