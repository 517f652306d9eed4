"""Submissions made to be validated wrongly, and how many are."""
