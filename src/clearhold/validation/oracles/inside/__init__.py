"""What the watched oracles send into the sandbox; never imported by the hub to be run there."""
