"""The story of `./run demo`, told through the public API alone."""
