"""Known proofs of shipped recipes: recipe, target and the proof, all of them our own."""

from __future__ import annotations

from typing import Final

from clearhold.validation import known_proofs

PROOFS: Final[tuple[tuple[str, str, bytes], ...]] = (
    *((each.recipe, each.target, each.content) for each in known_proofs.PROOFS),
    ("ujson", "dumps", known_proofs.NESTED_OBJECTS),
)

_FEW: Final = frozenset({"cjson", "pygments", "ujson"})
FEW: Final = tuple(each for each in PROOFS if each[0] in _FEW)
"""Of the recipes that are quick to build and run."""
