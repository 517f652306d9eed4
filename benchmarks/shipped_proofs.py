"""Known proofs of shipped recipes: recipe, target and the proof, all of them our own."""

from __future__ import annotations

from importlib import resources
from typing import Final

from clearhold.demo import material


def _material(name: str) -> bytes:
    return (resources.files(material) / name).read_bytes()


PROOFS: Final[tuple[tuple[str, str, bytes], ...]] = (
    ("cjson", "parse", b'{"1":1,'),
    ("pygments", "lex", _material("pygments_proof.txt")),
    ("ujson", "encode", b"[" * 100 + b" " * 100),
    ("ujson", "dumps", _material("lab_b_proof.json")),
    ("ujson", "decode", _material("finder_proof.json")),
)
