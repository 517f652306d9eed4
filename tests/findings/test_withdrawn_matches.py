"""Whatever was asserted and taken back, only what stands counts, and nothing else shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from finding_examples import document
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearhold.access.model import Actor
from clearhold.assembly.hub import Hub
from clearhold.findings.model import Assertion, Match, Method, Receipt, clusters
from clearhold.kernel.ids import FindingId

OWN_WORDS = ("alpha's own words", "beta's own words")


@dataclass(frozen=True)
class Say:
    """Somebody asserts something of two findings."""

    pair: tuple[int, int]
    verdict: Match
    method: Method


@dataclass(frozen=True)
class TakeBack:
    """One of the assertions in force is withdrawn."""

    which: int


PAIRS = st.lists(st.integers(0, 4), min_size=2, max_size=2, unique=True).map(tuple)
SAY = st.builds(
    Say,
    PAIRS,
    # Mostly the same, or there is little to take apart again.
    st.sampled_from([Match.SAME, Match.SAME, Match.SAME, *Match]),
    st.sampled_from(Method),
)
STEPS = st.lists(SAY | st.builds(TakeBack, st.integers(0, 9)), max_size=14)


class Ground:
    """Five reproduced findings of two labs, and what of them each lab can read."""

    def __init__(self, hub: Hub, clock: Any, labs: tuple[Actor, Actor]) -> None:
        self.hub, self.clock, self.labs = hub, clock, labs
        self.findings: list[FindingId] = []
        self.standing: dict[tuple[FindingId, FindingId, Method], Assertion] = {}

    def do(self, step: Say | TakeBack) -> None:
        self.clock.advance(timedelta(seconds=1))
        with self.hub.sessions.transaction() as unit:
            if isinstance(step, TakeBack):
                if self.standing:
                    key = sorted(self.standing)[step.which % len(self.standing)]
                    identity = self.standing.pop(key).id
                    self.hub.findings.withdraw_match(unit, identity, by="test")
                return
            a, b = (self.findings[end] for end in step.pair)
            key = (min(a, b), max(a, b), step.method)
            said = self.hub.findings.assert_match(
                unit, a, b, verdict=step.verdict, method=step.method, evidence={}, by="test"
            )
            known = self.standing.get(key)
            if known is None or known.verdict is not step.verdict:
                self.standing[key] = Assertion(
                    said, a, b, step.verdict, step.method, {}, "test", unit.now
                )
            else:
                assert said == known.id

    def grouped(self) -> set[tuple[tuple[FindingId, ...], bool]]:
        """The clusters as the service tells them of each finding."""
        with self.hub.sessions.transaction() as unit:
            found = [self.hub.findings.cluster_of(unit, each) for each in self.findings]
        return {(each.members, each.contested) for each in found}

    def read_by(self, lab: Actor) -> str:
        """All that a lab reads of findings and of their record."""
        listed = self.hub.findings.list(lab)
        shown = [self.hub.findings.get(lab, each.head.id) for each in listed]
        return repr((listed, shown, [self.hub.findings.receipt(lab, s) for s in self.sent(lab)]))

    def sent(self, lab: Actor) -> list[Any]:
        return sorted({each.head.submission for each in self.hub.findings.list(lab)})

    def record_for(self, lab: Actor) -> str:
        """What the ledger tells a lab; it grows by what the lab itself reads."""
        return repr(self.hub.history(lab, after=0, limit=10_000))

    def foreign_to(self, lab: Actor) -> set[str]:
        """What only the other lab's material holds."""
        (other,) = (each for each in self.labs if each.party != lab.party)
        told: set[str] = {other.party, OWN_WORDS[self.labs.index(other)]}
        for each in self.hub.findings.list(other):
            told |= {each.head.id, each.head.submission, each.head.compartment}
            told |= {str(each.head.proof)}
        return told


@pytest.fixture
def ground(
    hub: Hub,
    clock: Any,
    labs: tuple[Actor, Actor],
    submit: Callable[..., Receipt],
    reproduce: Callable[..., None],
) -> Ground:
    made = Ground(hub, clock, labs)
    for number in range(5):
        owner = number % 2
        receipt = submit(
            labs[owner], document(title=f"Flaw {number}", description=OWN_WORDS[owner])
        )
        made.findings += [FindingId(each.finding) for each in receipt.findings]
    reproduce(*made.findings)
    return made


@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(steps=STEPS, seed=st.integers(0, 1 << 16))
def test_clusters_follow_from_what_stands_alone_and_what_was_withdrawn_leaves_no_trace(
    ground: Ground, steps: list[Say | TakeBack], seed: int
) -> None:
    """Every example begins where the one before withdrew all it had asserted."""
    untouched = [ground.read_by(lab) for lab in ground.labs]
    assert ground.grouped() == {((each,), False) for each in ground.findings}
    with ground.hub.sessions.transaction() as unit:
        received = {
            each: ground.hub.findings.head(unit, each).received_at for each in ground.findings
        }
    for step in steps:
        ground.do(step)
        standing = list(ground.standing.values())
        Random(seed).shuffle(standing)  # noqa: S311  # an order, no secret
        expected = {(each.members, each.contested) for each in clusters(received, standing)}
        assert ground.grouped() == expected
    for lab in ground.labs:
        shown, recorded = ground.read_by(lab), ground.record_for(lab)
        for word in ground.foreign_to(lab):
            assert word not in shown
            assert word not in recorded
    replayed = ground.grouped()
    again = sorted(ground.standing.values(), key=lambda each: each.asserted_at)
    _withdraw_all(ground)
    assert [ground.read_by(lab) for lab in ground.labs] == untouched
    for each in again:
        ends = (ground.findings.index(each.a), ground.findings.index(each.b))
        ground.do(Say(ends, each.verdict, each.method))
    assert ground.grouped() == replayed  # as if what was withdrawn had never been said
    _withdraw_all(ground)
    assert [ground.read_by(lab) for lab in ground.labs] == untouched
    for lab in ground.labs:
        recorded = ground.record_for(lab)
        assert not [word for word in ground.foreign_to(lab) if word in recorded]


def _withdraw_all(ground: Ground) -> None:
    while ground.standing:
        ground.do(TakeBack(0))
