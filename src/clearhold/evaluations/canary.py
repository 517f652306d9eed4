"""Whether an endpoint still serves the model it served before, told from fixed prompts.

Models answer the same prompt in more than one way, so a baseline asks each prompt several times, and
what is judged is how many answers of a later round were met before. A different model meets few. The
chance that the same model meets so few is the lower tail of a Poisson binomial distribution, whose
single chances are estimated from the baseline itself (each answer among the others, with Laplace's
rule of succession).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

RARE: Final = 0.001
"""The chance below which a round is taken for another model's."""
FEWEST_REPEATS: Final = 3
FEWEST_PROMPTS: Final = 5


class Identity(StrEnum):
    """What a round tells: one model, another one, or nothing, since answers vary too much."""

    SAME = "same"
    DIFFERENT = "different"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Told:
    """A round's result: how many prompts met a known answer, of how many, and how likely so few are."""

    identity: Identity
    met: int
    asked: int
    expected: float
    chance: float


def compare(baseline: Mapping[str, Sequence[str]], answers: Mapping[str, str]) -> Told:
    """Judge a round by a baseline.

    `baseline` has, for each prompt, digests of at least three answers; `answers` the digest of one
    later answer to each. Raises `ValueError` when prompts differ or there are too few.
    """
    if baseline.keys() != answers.keys() or len(baseline) < FEWEST_PROMPTS:
        raise ValueError(f"A round asks the prompts of its baseline, {FEWEST_PROMPTS} at least.")
    if min(map(len, baseline.values())) < FEWEST_REPEATS:
        raise ValueError(f"A baseline asks each prompt {FEWEST_REPEATS} times at least.")
    chances = [_chance(list(seen)) for seen in baseline.values()]
    met = sum(answers[prompt] in seen for prompt, seen in baseline.items())
    spread = _spread(chances)
    chance = sum(spread[: met + 1])
    if chance < RARE:
        identity = Identity.DIFFERENT
    elif spread[0] >= RARE:
        identity = Identity.UNCLEAR
    else:
        identity = Identity.SAME
    return Told(identity, met, len(chances), sum(chances), min(1.0, chance))


def _chance(seen: list[str]) -> float:
    """How likely a further answer of the same model was met before."""
    again = sum(each in seen[:at] + seen[at + 1 :] for at, each in enumerate(seen))
    return (again + 1) / (len(seen) + 2)


def _spread(chances: Sequence[float]) -> list[float]:
    """The distribution of how many of independent events of these chances happen."""
    spread = [1.0]
    for chance in chances:
        spread = [
            here * (1 - chance) + before * chance
            for here, before in zip([*spread, 0.0], [0.0, *spread], strict=True)
        ]
    return spread
