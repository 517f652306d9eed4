"""Does it reproduce: recipes, builds, oracles, verdicts, evidence, and which fix kills which proof."""
