"""Readers of source as engines: rules of bandit, ruff and Semgrep, run in the sandbox; their hits are leads."""
