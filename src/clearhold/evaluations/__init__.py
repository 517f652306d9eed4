"""Testing a developer's models under an agreement, before release, by the developer's own will."""
