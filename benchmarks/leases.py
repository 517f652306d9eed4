"""Whether a scope is free among 100,000 active leases: spread over packages, and crowded in few."""

from __future__ import annotations

import random
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import insert, update

from benchmarks.access import _on_server
from benchmarks.figure import Figure
from clearhold.access.model import Actor
from clearhold.access.permissions import PERMISSIONS, PartyKind
from clearhold.adapters.blobs_local import LocalBlobs
from clearhold.adapters.clock_system import SystemClock
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.adapters.keys_file import FileKeyRing
from clearhold.catalogue.model import Technique
from clearhold.kernel.errors import ConflictError
from clearhold.kernel.ids import CompartmentId, PartyId, PrincipalId, new_id
from clearhold.parties.tables import party
from clearhold.scanning.limits import Limits
from clearhold.scanning.model import Mode, SoftwareScope, State, Versions, make_scope
from clearhold.scanning.service import ScanningService
from clearhold.scanning.tables import scan_lane, scan_lease
from clearhold.store.database import migrate, open_engine
from clearhold.store.unit_of_work import Sessions
from clearhold.vault import envelope
from clearhold.vault.service import Vault

_LEASES: Final = 100_000
_GOAL_MS: Final = 5.0
_GOAL_CLAIM_MS: Final = 100.0
_GOAL_LOAD_MS: Final = 10_000.0
_PARTIES: Final = 500
_BATCH: Final = 5000
_TECHNIQUES: Final = (
    Technique.STATIC,
    Technique.FUZZING,
    Technique.SYMBOLIC,
    Technique.MODEL_REVIEW,
    Technique.DYNAMIC,
)
_BOUNDLESS: Final = Limits(
    exclusive=10**9, per_package=10**9, answers=10**9, told=10**9, answers_in_all=10**9, advice=0
)


def run(*, full: bool) -> Iterator[Figure]:
    """p50 and p99 in milliseconds, beside a linear scan by the same exact overlap."""
    times = 2000 if full else 500
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        for packages in (20_000, 4):
            url = f"sqlite:///{place / f'{packages}.db'}"
            yield from _measured(url, place / f"s{packages}", packages=packages, times=times)
        if full:
            for packages in (20_000, 4):
                with _on_server(place) as url:
                    yield from _measured(
                        url, place / f"p{packages}", packages=packages, times=times
                    )


def scopes(chance: random.Random, packages: int) -> Iterator[SoftwareScope]:
    """Scopes as finders write them: mostly a file, some directories, some wildcards."""
    while True:
        module, file = chance.randrange(400), chance.randrange(200)
        path = chance.choices(
            (
                f"src/m{module}/f{file}.c",
                f"src/m{module}/**",
                f"src/m{module}/f{file % 10}*.c",
                f"**/h{file}.h",
            ),
            (80, 12, 6, 2),
        )[0]
        first = chance.randrange(60)
        versions = chance.choice(
            (
                Versions(exact=f"1.{first}.0"),
                Versions(start=f"1.{first}.0", before=f"1.{first + 5}.0"),
            )
        )
        functions = (f"parse_{file}", "read_*") if chance.random() < 0.2 else ()
        yield make_scope(
            f"pkg:pypi/package-{chance.randrange(packages)}",
            versions=versions,
            paths=(path,),
            technique=chance.choice(_TECHNIQUES),
            functions=functions,
        )


@dataclass(frozen=True)
class _World:
    sessions: Sessions
    service: ScanningService
    held: list[SoftwareScope]
    parties: list[PartyId]


def _measured(url: str, place: Path, *, packages: int, times: int) -> Iterator[Figure]:
    database = open_engine(url)
    migrate(database)
    clock = SystemClock()
    sessions = Sessions(database, clock=clock, engine=MemoryEngine(clock))
    ring = FileKeyRing(place / "keys" / "ring.json", data_directory=place / "data")
    vault = Vault(ring, LocalBlobs(place / "data" / "blobs"))
    service = ScanningService(sessions, vault, limits=_BOUNDLESS)
    chance = random.Random(7)  # noqa: S311  # the same input each time
    held, parties = _fill(sessions, vault, service, packages, chance)
    world = _World(sessions, service, held, parties)
    where = f"active leases on {packages} packages, {database.dialect.name}"
    made = scopes(chance, packages)
    questions = [chance.choice(held) if n % 2 else next(made) for n in range(times)]

    load = _times(lambda n: _check(world, questions[n]), len(questions))
    yield _figure(
        "longest first look of a process at a package",
        where,
        load[-1],
        ("the same look a second time", _times(lambda n: _check(world, questions[n]), times)[-1]),
        _GOAL_LOAD_MS,
    )
    checks = _times(lambda n: _check(world, questions[n]), times)
    found = sum(_check(world, each) for each in questions)
    scans = _times(lambda n: _linear(world, questions[n]), 40)
    for name, part in (("p50", 0.5), ("p99", 0.99)):
        yield _figure(
            f"{name} of a check in a transaction, {found} of {times} taken",
            where,
            checks[int(len(checks) * part)],
            (
                "walking through all leases in memory by the same exact overlap",
                scans[min(int(len(scans) * part), len(scans) - 1)],
            ),
            _GOAL_MS,
        )
    fresh = [next(scopes(chance, packages)) for _ in range(times)]
    claims = _times(lambda n: _claim(world, fresh[n], n), times)
    for name, part in (("p50", 0.5), ("p99", 0.99)):
        yield _figure(
            f"{name} of a claim, committed, sealed and in the ledger",
            where,
            claims[int(len(claims) * part)],
            ("a check alone", checks[int(len(checks) * part)]),
            _GOAL_CLAIM_MS,
        )
    database.dispose()


def _figure(figure: str, where: str, ours: float, peer: tuple[str, float], goal: float) -> Figure:
    return Figure(
        bench="leases",
        figure=figure,
        input=where,
        size=_LEASES,
        ours=round(ours, 2),
        unit="ms",
        peer=peer[0],
        peer_value=round(peer[1], 2),
        ratio=round(ours / peer[1], 3),
        goal=goal,
        met=ours < goal,
    )


def _times(call: Callable[[int], object], count: int) -> list[float]:
    taken = []
    for number in range(count):
        began = time.perf_counter()
        call(number)
        taken.append((time.perf_counter() - began) * 1000)
    return sorted(taken)


def _check(world: _World, asked: SoftwareScope) -> bool:
    lanes = world.service._lanes  # noqa: SLF001  # what a claim asks, without its writing
    with world.sessions.transaction() as unit:
        sight = lanes.look(unit, lanes.of(asked))
        return sight.first(unit, asked, among=lambda _entry: True) is not None


def _linear(world: _World, asked: SoftwareScope) -> bool:
    # All of them, as when nothing is taken: where it would stop first is chance.
    return bool([each for each in world.held if asked.overlap(each)])


def _claim(world: _World, wanted: SoftwareScope, number: int) -> None:
    mine = world.parties[number % len(world.parties)]
    actor = Actor(PrincipalId(f"of-{mine}"), mine, PartyKind.LAB, PERMISSIONS[PartyKind.LAB])
    try:
        world.service.claim(
            actor,
            wanted,
            mode=Mode.EXCLUSIVE,
            window=timedelta(hours=8),
            budget_s=60,
            key=str(number),
        )
    except ConflictError:
        return


def _fill(
    sessions: Sessions,
    vault: Vault,
    service: ScanningService,
    packages: int,
    chance: random.Random,
) -> tuple[list[SoftwareScope], list[PartyId]]:
    """Put leases in as claims leave them, but for a compartment of each lease's own."""
    made = scopes(chance, packages)
    held = [next(made) for _ in range(_LEASES)]
    parties = [PartyId(f"lab-{number}") for number in range(_PARTIES)]
    lanes: dict[str, tuple[bytes, CompartmentId, bytes]] = {}
    fences: dict[bytes, int] = {}
    with sessions.transaction() as unit:
        unit.connection.execute(
            insert(party),
            [
                {"id": each, "handle": each, "name": each, "kind": "lab", "registered_at": unit.now}
                for each in parties
            ],
        )
        within = vault.open_compartment(unit)
        key = vault._key(unit.connection, within)  # noqa: SLF001  # one query for all
        lanes_of = service._lanes.of  # noqa: SLF001  # as above
        names = {str(each.package): lanes_of(each) for each in held}
        unit.connection.execute(
            insert(scan_lane),
            [{"package": name, "fence": 0, "compartment": within} for name in names.values()],
        )
        lanes = {package: (name, within, key) for package, name in names.items()}
        rows = []
        for number, scope in enumerate(held):
            name, _, _ = lanes[str(scope.package)]
            fences[name] = fences.get(name, 0) + 1
            identity = new_id(unit.now)
            content = msgspec.json.encode(scope.to_plain(), order="sorted")
            place = ("scan_lease", "in_lane", identity)
            rows.append(
                {
                    "id": identity,
                    "party": parties[number % _PARTIES],
                    "compartment": within,
                    "lane": name,
                    "mode": Mode.EXCLUSIVE,
                    "state": State.ACTIVE,
                    "fence": fences[name],
                    "scope": b"",
                    "budget_s": 60,
                    "granted_at": unit.now,
                    "expires_at": unit.now + timedelta(days=2),
                    "window_ends_at": unit.now + timedelta(days=2),
                    "idempotency_key": secrets.token_hex(8),
                    "request": b"",
                    "in_lane": envelope.close(key, within, place=place, content=content),
                }
            )
        for start in range(0, len(rows), _BATCH):
            unit.connection.execute(insert(scan_lease), rows[start : start + _BATCH])
        for name, fence in fences.items():
            unit.connection.execute(
                update(scan_lane).where(scan_lane.c.package == name).values(fence=fence)
            )
    return held, parties
