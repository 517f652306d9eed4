"""Coverage is its party's own; what is shared of it names nobody and shows what was found to none."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.assembly.hub import Hub
from clearhold.catalogue.model import Technique
from clearhold.delivery.cli.scan_coverage import map_lines
from clearhold.kernel.errors import ConflictError, InvalidError, NotFoundError
from clearhold.parties.wish import Wishes
from clearhold.scanning.coverage import Recorded
from clearhold.scanning.coverage_model import Many, NewCoverage, Result, Sharing
from clearhold.scanning.model import Depth, Mode, Outcome, Versions, make_scope

UJSON = "pkg:pypi/ujson"
VULNERABLE = Versions(exact="5.1.0")
Parties = Callable[..., Actor]


@pytest.fixture
def lab(party_of: Parties) -> Actor:
    return party_of(PartyKind.LAB, "lab-alpha")


@pytest.fixture
def rival(party_of: Parties) -> Actor:
    return party_of(PartyKind.LAB, "lab-beta")


@pytest.fixture
def coordinator(hub: Hub, party_of: Parties) -> Actor:
    coordinator = party_of(PartyKind.COORDINATOR, "coordinator")
    hub.catalogue.add(
        coordinator,
        UJSON,
        versions=("5.1.0", "5.4.0"),
        techniques=(Technique.FUZZING, Technique.STATIC),
        paths=("lib/ultrajsonenc.c",),
    )
    return coordinator


def scanned(
    hub: Hub,
    actor: Actor,
    *,
    outcome: Outcome = Outcome.NOTHING_FOUND,
    versions: Versions = VULNERABLE,
    leased: tuple[str, ...] = ("lib/",),
    package: str = UJSON,
    **more: object,
) -> Recorded:
    """What a lease is claimed for, scanned, recorded, and given back."""
    scope = make_scope(package, versions=versions, paths=leased, technique=Technique.FUZZING)
    options = {"mode": Mode.SHARED, "window": timedelta(hours=2), "budget_s": 60}
    key = uuid.uuid4().hex
    lease = hub.scanning.claim(actor, scope, key=key, **options).lease  # type: ignore[arg-type]
    new = NewCoverage(outcome, {"executions": 5}, "ab" * 32, **more)  # type: ignore[arg-type]
    made = hub.scanning.report_coverage(actor, lease.id, fence=lease.fence, new=new)
    hub.scanning.release(actor, lease.id, fence=lease.fence)
    return made


def test_a_holder_reads_back_all_that_was_recorded_and_nobody_else_any_of_it(
    hub: Hub, lab: Actor, rival: Actor
) -> None:
    made = scanned(
        hub,
        lab,
        commit="ab" * 20,
        version="5.1.0",
        paths=("lib/ultrajsonenc.c",),
        functions=("objToJSON",),
        depth=Depth.DEEP,
        outcome=Outcome.FOUND,
    )
    (record,) = hub.scanning.covering.list(lab)
    assert (record.id, record.package, record.version) == (made.id, UJSON, "5.1.0")
    assert (record.commit, record.paths) == ("ab" * 20, ("lib/ultrajsonenc.c",))
    assert (record.functions, record.depth, record.outcome) == (
        ("objToJSON",),
        Depth.DEEP,
        Outcome.FOUND,
    )
    assert (record.sharing, record.shown_from) == (Sharing.PRIVATE, None)
    assert hub.scanning.covering.list(rival) == ()
    with pytest.raises(NotFoundError):
        hub.scanning.covering.withdraw(rival, made.id)


def test_what_was_not_told_is_taken_from_the_lease(hub: Hub, lab: Actor) -> None:
    scanned(hub, lab)
    scanned(hub, lab, versions=Versions(start="5.0.0"))
    found = {(each.version, each.paths) for each in hub.scanning.covering.list(lab)}
    assert found == {("5.1.0", ("lib/**",)), ("", ("lib/**",))}


def test_a_commit_is_recorded_under_a_lease_of_commits(hub: Hub, lab: Actor) -> None:
    leased = Versions(commits=("ab" * 20,))
    assert scanned(hub, lab, versions=leased, sharing=Sharing.SHARED).shown_from
    scanned(hub, lab, versions=leased, version="5.1.0", commit="ab" * 20)
    found = {(each.version, each.commit) for each in hub.scanning.covering.list(lab)}
    assert found == {("", "ab" * 20), ("5.1.0", "ab" * 20)}
    for outside in ({"commit": "cd" * 20}, {"version": "5.1.0"}):
        with pytest.raises(InvalidError):
            scanned(hub, lab, versions=leased, **outside)


@pytest.mark.parametrize(
    "outside",
    [
        {"version": "5.4.0"},
        {"paths": ("python/**",)},
        {"paths": ("../x",)},
        {"commit": "0" * 40},
        {"paths": tuple(f"lib/{n}" for n in range(17))},
    ],
)
def test_what_lies_outside_the_lease_is_not_recorded(
    hub: Hub, lab: Actor, outside: dict[str, object]
) -> None:
    with pytest.raises(InvalidError):
        scanned(hub, lab, **outside)
    assert hub.scanning.covering.list(lab) == ()


def test_a_shared_scan_shows_once_its_week_is_over_without_name_file_or_outcome(
    hub: Hub, lab: Actor, rival: Actor, coordinator: Actor, clock: Any
) -> None:
    made = scanned(
        hub, lab, leased=("lib/ultrajsonenc.c",), functions=("secret_function",),
        sharing=Sharing.SHARED, outcome=Outcome.FOUND, depth=Depth.DEEP,
    )  # fmt: skip
    assert made.shown_from == date(2026, 6, 8)
    assert hub.scanning.covering.map(rival, UJSON).rows == ()
    clock.advance(timedelta(days=4))
    found = hub.scanning.covering.map(rival, f"{UJSON}@5.1.0")
    (row,) = found.rows
    assert (row.version, row.technique, row.area) == ("5.1.0", Technique.FUZZING, "lib/")
    assert (row.last_week, row.depth, row.scans) == (date(2026, 6, 1), Depth.DEEP, Many.FEW)
    assert row.result is Result.SCANNED
    assert row.outdated  # 5.4.0 is listed
    told = repr(found)
    for secret in (lab.party, "lab-alpha", "ultrajsonenc", "secret_function", "found", "ab" * 32):
        assert secret not in told


def test_found_and_nothing_found_look_the_same_in_the_map(
    hub: Hub, lab: Actor, rival: Actor, coordinator: Actor, clock: Any
) -> None:
    for package, outcome in (("pkg:pypi/a", Outcome.FOUND), ("pkg:pypi/b", Outcome.NOTHING_FOUND)):
        scanned(hub, lab, package=package, outcome=outcome, sharing=Sharing.SHARED)
    clock.advance(timedelta(days=7))
    one, other = (hub.scanning.covering.map(rival, f"pkg:pypi/{each}").rows for each in "ab")
    assert one == other != ()


def test_private_scans_change_no_map_no_suggestion_and_no_row_that_others_learn_from(
    *,
    hub: Hub,
    lab: Actor,
    rival: Actor,
    coordinator: Actor,
    clock: Any,
    database: Engine,
) -> None:
    scanned(hub, rival, sharing=Sharing.SHARED)
    clock.advance(timedelta(days=7))

    def learned() -> object:
        with database.begin() as connection:
            rows = [
                connection.execute(text(f"SELECT * FROM {table}")).all()  # noqa: S608
                for table in ("coverage_map", "scan_exposure")
            ]
        return (
            hub.scanning.covering.map(rival, UJSON),
            hub.scanning.suggestions.next(rival).scans,
            rows,
        )

    before = learned()
    for outcome in Outcome:
        scanned(hub, lab, outcome=outcome, version="5.1.0", depth=Depth.DEEP)
    assert learned() == before
    clock.advance(timedelta(hours=3))
    assert learned() == before


def test_nothing_of_a_map_stands_readable_in_the_database_or_leads_to_its_party(
    hub: Hub, lab: Actor, database: Engine
) -> None:
    made = scanned(hub, lab, sharing=Sharing.SHARED)
    with database.begin() as connection:
        (row,) = connection.execute(text("SELECT * FROM coverage_map")).all()
    plain = b"".join(each.encode() if isinstance(each, str) else bytes(each) for each in row)
    for secret in (b"ujson", b"5.1.0", b"fuzzing", lab.party.encode(), made.id.encode()):
        assert secret not in plain


def test_a_standing_choice_shares_what_is_recorded_later_and_refuses_nothing(
    hub: Hub, lab: Actor, rival: Actor, coordinator: Actor, clock: Any
) -> None:
    assert hub.scanning.covering.chosen(lab) is Sharing.PRIVATE
    scanned(hub, lab)
    assert hub.scanning.covering.choose(lab, Sharing.SHARED) is Sharing.SHARED
    assert hub.scanning.covering.chosen(lab) is Sharing.SHARED
    assert hub.scanning.covering.chosen(rival) is Sharing.PRIVATE
    assert scanned(hub, lab).shown_from
    assert scanned(hub, lab, sharing=Sharing.PRIVATE).shown_from is None
    assert scanned(hub, lab, versions=Versions(start="5.0.0")).shown_from is None
    with pytest.raises(InvalidError):
        scanned(hub, lab, versions=Versions(start="5.2.0"), sharing=Sharing.SHARED)
    assert [each.sharing for each in hub.scanning.covering.list(lab)].count(Sharing.SHARED) == 1
    hub.scanning.covering.choose(lab, Sharing.PRIVATE)
    assert scanned(hub, lab, leased=("tests/",)).shown_from is None


def test_what_is_withdrawn_leaves_the_map_and_stays_in_the_own_list(
    hub: Hub, lab: Actor, rival: Actor, coordinator: Actor, clock: Any
) -> None:
    made = scanned(hub, lab, sharing=Sharing.SHARED)
    scanned(hub, rival, leased=("python/",), sharing=Sharing.SHARED)
    clock.advance(timedelta(days=7))
    assert [row.area for row in hub.scanning.covering.map(lab, UJSON).rows] == ["lib/", "python/"]
    assert hub.scanning.covering.withdraw(lab, made.id).sharing is Sharing.PRIVATE
    assert [row.area for row in hub.scanning.covering.map(lab, UJSON).rows] == ["python/"]
    assert hub.scanning.covering.withdraw(lab, made.id).shown_from is None
    (record,) = hub.scanning.covering.list(lab)
    assert (record.id, record.package, record.sharing) == (made.id, UJSON, Sharing.PRIVATE)


def test_parties_that_share_at_the_same_moment_are_all_in_the_map(
    hub: Hub, party_of: Parties, coordinator: Actor, clock: Any
) -> None:
    labs = [party_of(PartyKind.LAB, f"lab-{n}") for n in range(4)]
    failures: list[Exception] = []

    def share(n: int) -> None:
        try:
            scanned(hub, labs[n], leased=(f"part{n}/",), sharing=Sharing.SHARED)
        except Exception as error:  # noqa: BLE001 # whatever it is, the test must show it
            failures.append(error)

    threads = [threading.Thread(target=share, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    clock.advance(timedelta(days=7))
    rows = hub.scanning.covering.map(labs[0], UJSON).rows
    assert [row.area for row in rows] == [f"part{n}/" for n in range(4)]


def test_there_is_no_map_of_what_its_owner_does_not_want_scanned(
    hub: Hub, party_of: Parties, lab: Actor, coordinator: Actor, engine: MemoryEngine
) -> None:
    vendor = party_of(PartyKind.VENDOR, "vendor")
    hub.verification.confirm(coordinator, vendor.party, UJSON, reason="known")
    hub.wishes.wish(vendor, UJSON, Wishes(do_not_scan=True))
    with pytest.raises(ConflictError, match="does not want it scanned"):
        hub.scanning.covering.map(lab, UJSON)


def test_a_map_is_a_table_people_can_read_and_hostile_answers_stay_in_their_cell() -> None:
    row = {
        "version": "5.1.0\n  5.4.0  forged", "technique": "fuzzing", "area": "lib/",
        "last_week": "2026-06-01", "depth": "deep", "scans": "1-2", "result": "scanned",
        "outdated": True,
    }  # fmt: skip
    lines = map_lines({"package": UJSON, "as_of": "2026-06-08", "rows": [row]})
    assert len(lines) == 3
    assert lines[1].split() == [
        "version", "technique", "area", "last", "week", "depth", "scans", "result",
    ]  # fmt: skip
    assert lines[2].endswith("scanned (a newer version is listed)")
    (empty,) = map_lines({"package": UJSON, "as_of": "2026-06-08", "rows": []})[1:]
    assert "does not say that there was none" in empty
