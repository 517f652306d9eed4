"""Measurements of what the product promises, beside a named peer on the same input in one run."""
