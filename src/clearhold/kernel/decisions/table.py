"""A decision table in the sense of SSVC: ordered inputs with ordered values, one outcome per row.

An input nobody knows is decided at its worst value and named in the answer, so that ignorance
never lowers a priority and never hides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType

from clearhold.kernel.errors import InvalidError

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class DecisionPoint:
    """One input or outcome: `values` maps short keys to names, from mildest to gravest."""

    id: str
    name: str
    values: Mapping[str, str]

    @property
    def gravest(self) -> str:
        """The key of the worst value."""
        return list(self.values)[-1]


@dataclass(frozen=True, slots=True)
class Assumption:
    """An input that was unknown, and the worst value it was decided at."""

    input: str
    value: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What a table answers, with all that is needed to recompute it.

    `inputs` are as given ("unknown" stays "unknown"); `assumed` says what was put in its place.
    `rank` is the outcome's place in its scale, 0 for the mildest.
    """

    table_id: str
    version: str
    inputs: Mapping[str, str]
    assumed: tuple[Assumption, ...]
    outcome: str
    outcome_name: str
    rank: int


@dataclass(frozen=True, slots=True)
class DecisionTable:
    """A complete table: `rows` lists the outcomes with the last input varying fastest."""

    id: str
    version: str
    source: str
    inputs: tuple[DecisionPoint, ...]
    outcome: DecisionPoint
    rows: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.rows) != prod(len(point.values) for point in self.inputs):
            raise InvalidError(
                f"Decision table {self.id} has {len(self.rows)} rows, not one for each combination."
            )
        if stray := set(self.rows) - set(self.outcome.values):
            raise InvalidError(f"Decision table {self.id} has unknown outcomes: {sorted(stray)}.")

    def decide(self, inputs: Mapping[str, str]) -> Decision:
        """Answer for `inputs`, a value key or "unknown" for each input's name.

        Raises `InvalidError` for a name or value the table does not have, or one left out.
        """
        names = [point.name for point in self.inputs]
        if set(inputs) != set(names):
            raise InvalidError(
                f"{self.id} needs exactly the inputs {', '.join(names)}.",
                next_step=f'State each of them; write "{UNKNOWN}" for what is not known.',
            )
        row = 0
        assumed: list[Assumption] = []
        for point in self.inputs:
            value = inputs[point.name]
            if value == UNKNOWN:
                value = point.gravest
                assumed.append(Assumption(point.name, value))
            keys = list(point.values)
            if value not in keys:
                raise InvalidError(
                    f"{value!a} is no value of {point.name} in {self.id}.",
                    next_step=f"Use one of {', '.join(keys)} or {UNKNOWN}.",
                )
            row = row * len(keys) + keys.index(value)
        outcome = self.rows[row]
        return Decision(
            table_id=self.id,
            version=self.version,
            inputs=MappingProxyType({name: inputs[name] for name in names}),
            assumed=tuple(assumed),
            outcome=outcome,
            outcome_name=self.outcome.values[outcome],
            rank=list(self.outcome.values).index(outcome),
        )
