"""The gateway between evaluators and a developer's model: keys, grants, calls, rounds and notices."""
