"""Which layers may join two findings without anybody looking.

Only what is certain does: the same proof, byte for byte, for the same target of the same version,
claimed to do the same, and seen to do it both times. Traces, places and words never do: on the public truth every such rule joins
more wrong pairs than right ones (docs/deduplication.md), and a wrong merge shows one finder's
material to another's case. They make candidates, and a proof or a person decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from clearhold.findings.likeness import resemblance
from clearhold.findings.sketches import Sketch

_ALIKE_TEXT = 0.5


class Layer(StrEnum):
    """What speaks for two findings being one, the strongest first."""

    PROOF = "same-proof"
    TRACE = "minimised-trace"
    INTRODUCTION = "introduced-together"
    CRASH = "crash-signature"
    SINK = "weakness-and-place"
    FRAMES = "frames-in-common"
    TEXT = "text-alike"
    NEAR = "nearby"


@dataclass(frozen=True, slots=True)
class Copy:
    """What a rule may go by: the keyed value of the whole claim with its proof, None without one."""

    key: bytes | None
    reproduced: bool


def certain(one: Copy, other: Copy) -> bool:
    """Whether two findings of one package are the same beyond doubt.

    The same bytes, shown by both to do what both claim. Nothing that is merely told suffices.
    """
    return one.key is not None and one.key == other.key and one.reproduced and other.reproduced


def layers(one: Sketch, other: Sketch) -> tuple[Layer, ...]:
    """What speaks for two findings, from their keyed values alone."""
    found = []
    shared = set(one.frames) & set(other.frames)
    if one.frames and one.frames == other.frames and one.family == other.family:
        found.append(Layer.CRASH)
    if one.weakness and one.weakness == other.weakness and shared:
        found.append(Layer.SINK)
    if shared:
        found.append(Layer.FRAMES)
    if resemblance(one, other) >= _ALIKE_TEXT:
        found.append(Layer.TEXT)
    return tuple(found) or (Layer.NEAR,)
