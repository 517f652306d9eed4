"""Boosted regression trees that were learned elsewhere, evaluated here.

A model file holds `features`, the names of what it looks at in order, and `trees`. A tree is a list
of nodes: `[feature, threshold, left, right]` goes left when the feature is at most the threshold;
left and right are places in the list, or, below zero, `-1 - place` in `leaves`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec


class Tree(msgspec.Struct, frozen=True):
    """One tree; `nodes` may be empty when it has a single leaf."""

    nodes: list[tuple[int, float, int, int]]
    leaves: list[float]


class Forest(msgspec.Struct, frozen=True):
    """A model: what it looks at, its trees, and where it comes from."""

    features: tuple[str, ...]
    trees: list[Tree]
    provenance: dict[str, Any]

    def score(self, values: Sequence[float]) -> float:
        """The sum over all trees; higher is more alike, and only the order means anything."""
        total = 0.0
        for tree in self.trees:
            place = 0 if tree.nodes else -1
            nodes = tree.nodes
            while place >= 0:
                feature, threshold, left, right = nodes[place]
                place = left if values[feature] <= threshold else right
            total += tree.leaves[-1 - place]
        return total

    @classmethod
    def load(cls, file: Path) -> Forest:
        """Read a model file; a broken one raises `msgspec.ValidationError`."""
        return msgspec.json.decode(file.read_bytes(), type=cls)
