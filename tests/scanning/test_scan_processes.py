"""Several processes with clocks of their own lease on one database, and never the same."""

from __future__ import annotations

import multiprocessing
import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from scan_scene import another_process, claim, race, scope
from sqlalchemy import Engine

from agreeing import agree
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.kernel.errors import ConflictError, LimitError
from clearhold.scanning.model import SoftwareScope, State
from clearhold.store.database import open_engine

Parties = Callable[..., Actor]
HOUR = timedelta(hours=1)
Elsewhere = Callable[[timedelta], Hub]


@pytest.fixture
def elsewhere(hub: Hub, tmp_path: Path, database_url: str) -> Iterator[Elsewhere]:
    """Makes hubs as other processes have them, with clocks that differ by some time."""
    opened: list[Engine] = []

    def make(skew: timedelta) -> Hub:
        opened.append(open_engine(database_url))
        return another_process(tmp_path, opened[-1], hub.clock.now() + skew)

    yield make
    for each in opened:
        each.dispose()


def test_of_processes_racing_for_packages_one_wins_each(
    hub: Hub, tmp_path: Path, database_url: str
) -> None:
    _, issued = hub.parties.found_hub(handle="hub", name="Hub", person="Ada", life=HOUR)
    founder = hub.authenticate(issued.secret)
    tokens = []
    for number in range(3):
        handle = f"lab-{number}"
        party = hub.parties.register(founder, handle=handle, name=handle, kind=PartyKind.LAB)
        token = hub.parties.issue_token(founder, party.id, life=HOUR).secret
        agree(hub.parties, hub.agreements, hub.authenticate(token), hub.clock.now())
        tokens.append(token)
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = [
            pool.submit(race, tmp_path, database_url, hub.clock.now(), token, number)
            for number, token in enumerate(tokens)
        ]
        outcomes = Counter(each for one in running for each in one.result(timeout=120))
    assert {name: outcomes[name] for name in outcomes if name != "conflict"} == {
        f"won {each}": 1 for each in range(6)
    }
    assert outcomes["conflict"] == 12


def test_what_one_process_leases_or_ends_the_others_know_at_once(
    hub: Hub, party_of: Parties, elsewhere: Elsewhere
) -> None:
    lab, other = party_of(PartyKind.LAB), party_of(PartyKind.LAB)
    there = elsewhere(timedelta(0))
    for number in range(3):
        package = f"pkg:pypi/there-and-back-{number}"
        held = claim(there, lab, scope("lib/", package=package), f"a{number}")
        with pytest.raises(ConflictError):
            claim(hub, other, scope("lib/x", package=package), f"b{number}")
        there.scanning.release(lab, held.lease.id, fence=held.lease.fence)
        assert claim(hub, other, scope("lib/x", package=package), f"c{number}")
        with pytest.raises(ConflictError):
            claim(there, lab, scope("lib/", package=package), f"d{number}")


def test_a_claim_that_is_undone_leaves_nothing_behind_in_memory(
    hub: Hub, party_of: Parties, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its token is given again, and whoever gets it is seen by everybody."""
    lab, other = party_of(PartyKind.LAB), party_of(PartyKind.LAB)
    with monkeypatch.context() as broken:
        broken.setattr(hub.scanning._claims, "grant", _fail)
        with pytest.raises(LookupError):
            claim(hub, lab, scope("lib/"), "a")
    held = claim(hub, lab, scope("docs/"), "b")
    assert held.lease.fence == 1
    with pytest.raises(ConflictError):
        claim(hub, other, scope("docs/x"), "c")
    assert claim(hub, other, scope("lib/"), "d")


def test_a_clock_that_is_ahead_and_undone_ends_no_lease(
    hub: Hub, party_of: Parties, elsewhere: Elsewhere
) -> None:
    """What a fast process took for lapsed and did not write down is still held everywhere."""
    lab, other = party_of(PartyKind.LAB), party_of(PartyKind.LAB)
    held = claim(hub, lab, scope("lib/"), "a")
    ahead = elsewhere(2 * HOUR)
    for number in range(2):
        with pytest.MonkeyPatch.context() as broken:
            broken.setattr(ahead.scanning._claims, "grant", _fail)
            with pytest.raises(LookupError):
                claim(ahead, other, scope("lib/"), f"b{number}")
    hub.scanning.heartbeat(lab, held.lease.id, fence=held.lease.fence)
    ahead.clock._at = hub.clock.now()  # type: ignore[attr-defined]  # it is set right
    with pytest.raises(ConflictError):
        claim(ahead, other, scope("lib/"), "c")


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_skewed_processes_do_no_two_hold_the_same(
    seed: int, hub: Hub, party_of: Parties, elsewhere: Elsewhere, clock: Any
) -> None:
    """Tokens grow, no two leases in force overlap, and who lost one cannot keep it."""
    chance = random.Random(seed)  # noqa: S311  # nothing is secret here
    labs = [party_of(PartyKind.LAB) for _ in range(3)]
    skews = (timedelta(0), timedelta(minutes=-20), timedelta(minutes=20))
    hubs = [elsewhere(skew) for skew in skews]
    held: list[tuple[Actor, Any]] = []
    last = 0
    globs = ("lib/", "lib/a.c", "lib/b.c", "**", "docs/*", "docs/x")
    for step in range(60):
        clock.advance(timedelta(minutes=chance.choice((1, 10, 45))))
        which = chance.randrange(3)
        one = hubs[which]
        one.clock._at = clock.now() + skews[which]  # type: ignore[attr-defined]  # it goes on
        lab = chance.choice(labs)
        try:
            if held and chance.random() < 0.4:
                owner, lease = chance.choice(held)
                act = chance.choice((one.scanning.heartbeat, one.scanning.release))
                act(owner, lease.lease.id, fence=lease.lease.fence)
            else:
                wanted = scope(chance.choice(globs))
                got = claim(one, lab, wanted, f"{step}", window=timedelta(hours=5))
                assert got.lease.fence > last
                last = got.lease.fence
                held.append((lab, got))
        except (ConflictError, LimitError):
            pass
        _check_apart(hub, held)
    assert last > 5


def _check_apart(hub: Hub, held: list[tuple[Actor, Any]]) -> None:
    standing: list[SoftwareScope] = []
    for owner, lease in held:
        known = hub.scanning.get(owner, lease.lease.id)
        if known.lease.state in {State.GRANTED, State.ACTIVE}:  # as written, by whatever clock
            now = hub.clock.now() + timedelta(minutes=20)
            if known.lease.expires_at > now:
                assert not any(known.scope.overlap(each) for each in standing)
                standing.append(known.scope)  # type: ignore[arg-type]


def _fail(*_given: object, **_more: object) -> None:
    raise LookupError
