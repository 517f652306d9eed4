"""Looks for more, under a lease: engines that search a target within a budget."""
