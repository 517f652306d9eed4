"""Suites of tasks that need no Docker: made from seeds, proved solvable, judged by closed rules."""
