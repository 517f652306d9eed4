"""Models and agents that look for flaws: they read, suppose and write proofs, and nothing more."""
