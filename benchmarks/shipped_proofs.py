"""Known proofs of shipped recipes: recipe, target and the proof, all of them our own."""

from __future__ import annotations

from importlib import resources
from typing import Final

from benchmarks import cve_proofs
from clearhold.demo import material

PROOFS: Final[tuple[tuple[str, str, bytes], ...]] = (
    *((each.recipe, each.target, each.content) for each in cve_proofs.PROOFS),
    ("ujson", "dumps", (resources.files(material) / "lab_b_proof.json").read_bytes()),
)

_FEW: Final = frozenset({"cjson", "pygments", "ujson"})
FEW: Final = tuple(each for each in PROOFS if each[0] in _FEW)
"""Of the recipes that are quick to build and run."""
