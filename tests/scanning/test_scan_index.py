"""The index of a lane finds exactly what a walk through all leases finds."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from test_scan_scopes import SCOPES

from clearhold.kernel.ids import LeaseId
from clearhold.scanning.index import Entry, LaneIndex
from clearhold.scanning.model import Mode, SoftwareScope


def entry(number: int, scope: SoftwareScope) -> Entry:
    return Entry(number, LeaseId(f"lease-{number}"), Mode.EXCLUSIVE, scope)


@settings(max_examples=200, deadline=None)
@given(st.lists(SCOPES, max_size=12), SCOPES)
def test_it_finds_what_overlaps_and_nothing_else(
    held: list[SoftwareScope], asked: SoftwareScope
) -> None:
    index = LaneIndex()
    for number, scope in enumerate(held):
        index.add(entry(number, scope))
    found = [each.fence for each in index.overlapping(asked)]
    assert len(found) == len(set(found))
    assert set(found) == {n for n, scope in enumerate(held) if asked.overlap(scope)}


class Life(RuleBasedStateMachine):
    """Leases come and go in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.index = LaneIndex()
        self.held: dict[int, SoftwareScope] = {}
        self.next = 0

    @rule(scope=SCOPES)
    def come(self, scope: SoftwareScope) -> None:
        self.next += 1
        self.held[self.next] = scope
        self.index.add(entry(self.next, scope))
        self.index.add(entry(self.next, scope))

    @rule(pick=st.integers(0, 100))
    def go(self, pick: int) -> None:
        fence = 1 + pick % (self.next + 1)
        self.held.pop(fence, None)
        self.index.discard(fence)

    @rule(asked=SCOPES)
    def ask(self, asked: SoftwareScope) -> None:
        found = {each.fence for each in self.index.overlapping(asked)}
        assert found == {n for n, scope in self.held.items() if asked.overlap(scope)}

    @invariant()
    def holds_what_came(self) -> None:
        assert len(self.index) == len(self.held)

    def teardown(self) -> None:
        for fence in list(self.held):
            self.index.discard(fence)
        assert not self.index._groups


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
