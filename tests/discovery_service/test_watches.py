"""A watch searches again what comes out anew, under its lease and within its budget, and ends by itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from test_campaigns import FOUND, NOTHING, PACKAGE, VERSION, Died, Field
from test_campaigns import ground as ground  # noqa: PLC0414  # a fixture of that module

from clearhold.catalogue.model import Technique
from clearhold.discovery import watching
from clearhold.discovery.engine import Plan
from clearhold.discovery.following import Following, Moved, next_commit
from clearhold.discovery.watching import EVERY, LOOK, Watching, WatchView
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    InvalidError,
    LimitError,
    NotFoundError,
    UnavailableError,
)
from clearhold.kernel.ids import DiscoveryId, WatchId
from clearhold.ledger.records import leaves
from clearhold.scanning.model import Lease, Mode, Versions, make_scope
from clearhold.validation.recipe import SideSource, Source


@dataclass
class Registry:
    """What is published, or why that cannot be told."""

    version: str = VERSION
    problem: BaseException | None = None
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    commit: str = "1" * 40

    def newer(self, package: str, target: str, *, after: str) -> SideSource | None:
        self.asked.append((package, target, after))
        if self.problem is not None:
            raise self.problem
        source = Source(f"pypi:ujson=={self.version}:a.tar.gz", "a" * 64)
        return None if self.version == after else SideSource(self.version, (source,))

    def followed(self, plan: Plan, ref: str) -> Following:
        if plan.package != f"{PACKAGE}@{VERSION}":
            raise InvalidError("No repository.", next_step="Name one.")
        return Following(ref, base="1" * 40)

    def moved(self, plan: Plan, following: Following) -> Moved:
        self.asked.append((plan.package, following.ref, following.base))
        if self.problem is not None:
            raise self.problem
        step = next_commit(following, {following.ref: self.commit})
        if not step.commit:
            return Moved(step.following)
        source = Source(f"git:https://git.example/x@{self.commit}", "a" * 64)
        side = SideSource(self.commit, (source,))
        return Moved(step.following, side, first=("lib/changed.c",))


class Bench:
    """One lab's campaign, watched."""

    def __init__(self, ground: Field, clock: Any) -> None:
        self.ground, self.clock, self.registry = ground, clock, Registry()
        hub = ground.hub
        self.watching = Watching(
            hub.sessions, hub.vault, hub.scanning, ground.service, releases=self.registry
        )
        ground.engine.register(LOOK, self.watching.look)
        ground.searcher.answer = NOTHING
        self.lease = self.over_versions()
        self.campaign = ground.begin(self.lease)
        ground.engine.run_due()

    def over_versions(self, key: str = "over-versions", before: str | None = "6.0") -> Lease:
        scope = make_scope(
            PACKAGE,
            versions=Versions(start="5.1.0", before=before),
            paths=() if before else ("lib/**",),
            technique=Technique.FUZZING,
        )
        return self.ground.hub.scanning.claim(
            self.ground.lab,
            scope,
            mode=Mode.EXCLUSIVE,
            window=timedelta(hours=8),
            budget_s=600,
            key=key,
        ).lease

    def ask(self, total_s: int = 600, **changes: Any) -> WatchId:
        given = {"lease": self.lease.id, "fence": self.lease.fence, "total_s": total_s} | changes
        actor = given.pop("actor", self.ground.lab)
        return self.watching.ask(actor, self.campaign, **given)

    def later(self) -> WatchView:
        """What is seen of the watch after the next look, the lease having been renewed."""
        hub = self.ground.hub
        with contextlib.suppress(ConflictError):
            hub.scanning.heartbeat(self.ground.lab, self.lease.id, fence=self.lease.fence)
        self.clock.advance(EVERY)
        self.ground.engine.run_due()
        (view,) = self.watching.list(self.ground.lab)
        return view

    def leaves(self, action: str) -> list[Any]:
        with self.ground.hub.sessions.transaction() as unit:
            return [leaf for leaf in leaves(unit.connection) if leaf.action == action]

    def searched(self) -> list[str]:
        return [plan.package for plan in self.ground.searcher.asked]


@pytest.fixture
def bench(ground: Field, clock: Any) -> Bench:
    return Bench(ground, clock)


def test_a_newer_version_is_searched_once_as_the_campaign_was(bench: Bench) -> None:
    bench.ask()
    bench.ground.engine.run_due()
    assert bench.searched() == [f"{PACKAGE}@{VERSION}"]
    bench.registry.version = "5.2.0"
    view = bench.later()
    assert bench.searched()[1:] == [f"{PACKAGE}@5.2.0"]
    again = bench.ground.searcher.asked[-1]
    first = bench.ground.searcher.asked[0]
    assert again.source is not None
    assert again.source.version == "5.2.0"
    assert (again.target, again.engine, again.budget_s) == (first.target, first.engine, 60)
    assert again.seed != first.seed
    assert (view.state.version, view.watch.left_s, view.watch.ending) == ("5.2.0", 540, "")
    assert view.watch.last_campaign is not None
    found = bench.ground.service.get(bench.ground.lab, view.watch.last_campaign)
    assert found.campaign.state == "nothing_found"
    assert bench.later().watch.looks == 3
    assert len(bench.searched()) == 2
    assert bench.registry.asked[-1] == (f"{PACKAGE}@{VERSION}", "encode", "5.2.0")


def test_it_ends_with_its_lease_and_looks_no_more(bench: Bench) -> None:
    bench.ask()
    bench.ground.engine.run_due()
    asked = len(bench.registry.asked)
    bench.ground.hub.scanning.release(bench.ground.lab, bench.lease.id, fence=bench.lease.fence)
    bench.registry.version = "5.2.0"
    assert bench.later().watch.ending == "lease"
    assert len(bench.registry.asked) == asked
    assert len(bench.searched()) == 1
    assert bench.ground.engine.run_due() == 0


def test_it_ends_when_its_seconds_are_used_up(bench: Bench) -> None:
    bench.ask(total_s=60)
    bench.registry.version = "5.2.0"
    assert bench.later().watch.ending == "budget"
    bench.registry.version = "5.3.0"
    bench.later()
    assert len(bench.searched()) == 2


def test_its_party_can_end_it(bench: Bench) -> None:
    identity = bench.ask()
    bench.watching.stop(bench.ground.lab, identity)
    bench.registry.version = "5.2.0"
    view = bench.later()
    assert (view.watch.ending, view.watch.looks) == ("stopped", 0)
    assert len(bench.searched()) == 1


@pytest.mark.parametrize("version", ["6.1.0", "no version"])
def test_a_version_that_the_lease_does_not_cover_is_passed_over(bench: Bench, version: str) -> None:
    bench.ask()
    bench.registry.version = version
    view = bench.later()
    assert view.state.version == version
    assert "was not searched" in view.state.note
    assert (len(bench.searched()), view.watch.ending) == (1, "")


def test_a_registry_that_is_away_is_asked_again(bench: Bench) -> None:
    bench.ask()
    bench.registry.problem = UnavailableError("The list is away.", next_step="Wait.")
    assert bench.later().state.note == "The list is away."
    bench.registry.problem, bench.registry.version = None, "5.2.0"
    bench.later()
    assert len(bench.searched()) == 2


def test_a_look_that_fails_otherwise_ends_no_watch(bench: Bench) -> None:
    bench.ask()
    bench.ground.engine.run_due()
    bench.registry.problem = OSError(28, "No space left on device")
    assert bench.later().watch.looks == 2
    bench.registry.problem = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        bench.later()
    bench.registry.problem, bench.registry.version = None, "5.2.0"
    view = bench.later()
    assert (view.watch.looks, view.watch.ending, len(bench.searched())) == (4, "", 2)


def test_a_suspended_party_searches_nothing_more(bench: Bench) -> None:
    bench.ask()
    bench.ground.engine.run_due()
    asked = len(bench.registry.asked)
    bench.ground.suspend()
    bench.registry.version = "5.2.0"
    assert bench.later().watch.ending == "suspended"
    assert (len(bench.registry.asked), len(bench.searched())) == (asked, 1)


def test_a_watch_opens_no_crash_of_its_campaign(bench: Bench) -> None:
    bench.ground.searcher.answer = FOUND
    bench.campaign = bench.ground.begin(bench.lease, key="found")
    bench.ground.engine.run_due()
    opened = [leaf.detail for leaf in bench.leaves("vault:plaintext:release")]
    bench.ask()
    bench.watching.list(bench.ground.lab)
    new = [leaf.detail for leaf in bench.leaves("vault:plaintext:release")][len(opened) :]
    assert {each["table"] for each in new} <= {"campaign", "campaign_watch", "scan_lease"}
    assert {each["column"] for each in new} >= {"sealed_plan", "sealed_state"}


def test_another_lease_is_no_word_for_the_same_watch(bench: Bench) -> None:
    bench.ask()
    bench.ground.hub.scanning.release(bench.ground.lab, bench.lease.id, fence=bench.lease.fence)
    bench.lease = bench.over_versions("again")
    with pytest.raises(ConflictError, match="another lease"):
        bench.ask()


def test_watches_of_one_party_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MOST_WATCHES", 1)
    bench.ask()
    bench.campaign = bench.ground.begin(bench.lease, key="second")
    with pytest.raises(LimitError):
        bench.ask()


def test_a_look_that_is_made_twice_searches_once(bench: Bench) -> None:
    identity = bench.ask()
    bench.registry.version = "5.2.0"
    bench.later()
    bench.watching.look({"watch": identity, "look": "0"})
    bench.watching.look({"watch": identity, "look": "1"})
    bench.ground.engine.run_due()
    assert len(bench.searched()) == 2


def test_asking_twice_is_one_watch(bench: Bench) -> None:
    assert bench.ask() == bench.ask()


UNWATCHABLE: list[tuple[Callable[[Bench], dict[str, Any]], type[ClearholdError]]] = [
    (lambda bench: {"fence": bench.lease.fence + 1}, ConflictError),
    (lambda _: {"total_s": 59}, InvalidError),
    (lambda _: {"total_s": 1 << 30}, InvalidError),
    (lambda bench: {"actor": bench.ground.other}, NotFoundError),
]


def test_what_may_not_be_watched_is_refused(bench: Bench, subtests: pytest.Subtests) -> None:
    for change, error in UNWATCHABLE:
        with subtests.test(change=change):
            with pytest.raises(error):
                bench.ask(**change(bench))
            assert bench.watching.list(bench.ground.lab) == ()


def test_nothing_is_watched_without_a_live_lease(bench: Bench) -> None:
    bench.ground.hub.scanning.release(bench.ground.lab, bench.lease.id, fence=bench.lease.fence)
    with pytest.raises(ConflictError):
        bench.ask()
    with pytest.raises(NotFoundError):
        bench.watching.ask(
            bench.ground.lab, DiscoveryId("absent"), lease=bench.lease.id, fence=1, total_s=60
        )


def test_others_see_no_watch(bench: Bench) -> None:
    identity = bench.ask()
    assert bench.watching.list(bench.ground.other) == ()
    for call in (bench.watching.get, bench.watching.stop):
        with pytest.raises(NotFoundError):
            call(bench.ground.other, identity)


MAIN = "refs/heads/main"


@pytest.fixture
def following(bench: Bench) -> Bench:
    """The same lab with a lease that has no last version, under which it may follow commits."""
    bench.ground.hub.scanning.release(bench.ground.lab, bench.lease.id, fence=bench.lease.fence)
    bench.lease = bench.over_versions("without-end", before=None)
    return bench


def test_a_new_commit_is_searched_once_with_what_changed_first(following: Bench) -> None:
    identity = following.ask(ref=MAIN)
    assert following.ask(ref=MAIN) == identity
    following.ground.engine.run_due()
    assert len(following.searched()) == 1
    following.registry.commit = "2" * 40
    view = following.later()
    plan = following.ground.searcher.asked[-1]
    assert plan.package == f"{PACKAGE}@{'2' * 40}"
    assert plan.source is not None
    assert (plan.source.version, plan.first) == ("2" * 40, ("lib/changed.c",))
    assert (view.state.ref, view.state.version, view.watch.left_s) == (MAIN, "2" * 40, 540)
    newest, *_ = following.ground.hub.scanning.covering.list(following.ground.lab)
    assert (newest.version, newest.commit) == ("", "2" * 40)
    following.later()
    assert len(following.searched()) == 2


def test_a_branch_that_was_set_back_costs_nothing(following: Bench) -> None:
    following.ask(ref=MAIN)
    for commit in ("2", "3", "2", "1"):
        following.registry.commit = commit * 40
        view = following.later()
    assert [plan[-40:] for plan in following.searched()[1:]] == ["2" * 40, "3" * 40, "1" * 40]
    assert view.watch.left_s == 600 - 3 * 60


def test_a_look_that_dies_anywhere_searches_a_commit_once(
    following: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = following.ask(ref=MAIN)
    following.ground.engine.run_due()
    following.registry.commit = "2" * 40
    following.registry.problem = Died()
    look = {"watch": identity, "look": "1"}
    with pytest.raises(Died):
        following.watching.look(look)
    following.registry.problem = None
    kept = watching.records.change

    def dies(*given: Any) -> None:
        kept(*given)
        raise Died

    monkeypatch.setattr(watching.records, "change", dies)
    with pytest.raises(Died):
        following.watching.look(look)
    monkeypatch.setattr(watching.records, "change", kept)
    for _ in range(2):
        following.watching.look(look)
    following.ground.engine.run_due()
    assert [plan[-40:] for plan in following.searched()[1:]] == ["2" * 40]
    (view,) = following.watching.list(following.ground.lab)
    assert (view.watch.looks, view.watch.left_s) == (2, 540)


def test_commits_and_releases_of_one_campaign_are_two_watches(following: Bench) -> None:
    assert following.ask(ref=MAIN) != following.ask()
    assert {each.state.ref for each in following.watching.list(following.ground.lab)} == {MAIN, ""}


def test_commits_are_followed_only_under_a_lease_without_a_last_version(bench: Bench) -> None:
    with pytest.raises(ConflictError, match="no commit that is still to come"):
        bench.ask(ref=MAIN)


def test_what_is_no_branch_or_tag_is_not_followed(following: Bench) -> None:
    for ref in ("main", "refs/heads/../x", "refs/notes/x", "--upload-pack=x", "refs/heads/-x"):
        with pytest.raises(InvalidError):
            following.ask(ref=ref)
    assert following.watching.list(following.ground.lab) == ()
