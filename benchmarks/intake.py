"""Taking in a thousand findings at once while many are held; what a finding takes on disk.

What is held is written in bulk in the shapes and sizes that `findings.reception` writes (see
`held_findings`), much of it on the one package that the batch is about; bytes are counted on that.
The batch itself goes through the services. Published figures of DefectDojo stand beside; it is not
run here.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, event, text

from benchmarks import access
from benchmarks.figure import Figure
from benchmarks.held_findings import BATCH, CROWDED, Bugs, crowd_of, hold, sizes
from clearhold.access.model import Actor
from clearhold.access.permissions import PERMISSIONS, PartyKind
from clearhold.adapters.blobs_local import LocalBlobs
from clearhold.adapters.clock_system import SystemClock
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.adapters.keys_file import FileKeyRing
from clearhold.findings.intake import Format
from clearhold.findings.match_index import rank_batch
from clearhold.findings.review import ReviewService
from clearhold.findings.service import FindingService
from clearhold.kernel.ids import FindingId, PrincipalId
from clearhold.scanning.service import ScanningService
from clearhold.store.database import migrate, open_engine
from clearhold.store.unit_of_work import Sessions
from clearhold.vault.service import Vault

_GOAL_SECONDS: Final = 2.0
_GOAL_BYTES: Final = 5_000
_TIMES: Final = 3
_ALONE: Final = 50
_PEER: Final = "DefectDojo, published: "


@dataclass(frozen=True, slots=True)
class _Taken:
    """What a batch took: seconds of reception, ranking and proposing, statements, and findings.

    `cpu` is what reception and ranking took of a processor, whatever else the machine did.
    """

    received: float
    ranked: float
    proposed: float
    cpu: float
    sent: int
    asked: int
    compared: int


def run(*, full: bool) -> Iterator[Figure]:
    """Seconds for a batch, bytes for a finding, and queries for a submission, on SQLite.

    CLEARHOLD_BENCH_HELD says how many findings are held, in place of the 50,000 or, in full, the
    million. Nothing is extrapolated.
    """
    held = int(os.environ.get("CLEARHOLD_BENCH_HELD", "0")) or (1_000_000 if full else 50_000)
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        yield from _measured(place, held)


def _measured(place: Path, held: int) -> Iterator[Figure]:
    database = open_engine(f"sqlite:///{place / 'bench.db'}")
    migrate(database)
    clock = SystemClock()
    sessions = Sessions(database, clock=clock, engine=MemoryEngine(clock))
    ring = FileKeyRing(place / "keys" / "ring.json", data_directory=place / "data")
    vault = Vault(ring, LocalBlobs(place / "data" / "blobs"))
    service = FindingService(sessions, vault, ScanningService(sessions, vault))
    reviews = ReviewService(sessions, vault, service)
    (lab, other, *_) = access.fill(sessions, vault, cases=2, parties=3)
    actor = Actor(PrincipalId(f"member of {lab}"), lab, PartyKind.LAB, PERMISSIONS[PartyKind.LAB])
    desk = _Desk(database, sessions, service, reviews, actor)
    desk.submit(BATCH)
    measured = sizes(database)
    before = _size(database)
    hold(database, vault, other, count=held, now=clock.now(), sizes=measured)
    bytes_each = (_size(database) - before) / held
    yield from _figures(desk, database, held=held, bytes_each=bytes_each)
    database.dispose()


def _figures(desk: _Desk, database: Engine, *, held: int, bytes_each: float) -> Iterator[Figure]:
    taken, single = desk.batches()
    crowd = crowd_of(held)
    where = (
        f"findings held, all written out and none extrapolated, {crowd} of them on the batch's package"
        f" ({os.cpu_count()} cores, SQLite)"
    )
    whole = taken.received + taken.ranked
    alone = desk.alone() * BATCH / _ALONE
    yield Figure(
        bench="intake",
        figure=f"seconds to take in and rank {BATCH} findings of one SARIF log"
        f" (reception with receipts {taken.received:.2f}, ranking {taken.ranked:.2f}; both"
        f" {taken.cpu:.2f} s of processor time; {taken.compared} of them with candidates; median of {_TIMES})",
        input=where,
        size=held,
        ours=round(whole, 2),
        unit="s",
        peer=f"{_PEER}import of 700 findings",
        peer_value=40.0,
        ratio=round(whole / BATCH / (40.0 / 700), 4),
        goal=_GOAL_SECONDS,
        met=whole < _GOAL_SECONDS,
    )
    yield Figure(
        bench="intake",
        figure=f"seconds after the receipt to propose pairs of {BATCH} findings to people, each"
        " ranked against all its candidates",
        input=where,
        size=held,
        ours=round(taken.proposed, 2),
        unit="s",
        peer=f"ours one finding at a time, extrapolated from {_ALONE}",
        peer_value=round(alone, 2),
        ratio=round(taken.proposed / alone, 2),
        goal=round(alone, 2),
        met=taken.proposed < alone,
    )
    yield Figure(
        bench="intake",
        figure=f"bytes of database for a finding with its index ({_largest(database, held)})",
        input=where,
        size=held,
        ours=round(bytes_each),
        unit="B",
        peer=f"{_PEER}20 to 30 GB for a million",
        peer_value=20_000.0,
        ratio=round(bytes_each / 20_000, 3),
        goal=_GOAL_BYTES,
        met=bytes_each <= _GOAL_BYTES,
    )
    for name, ours, theirs in (
        ("submission", taken.sent, single.sent),
        ("ranking", taken.asked, single.asked),
    ):
        yield Figure(
            bench="intake",
            figure=f"statements for the {name} of {BATCH} findings, beside that of one",
            input=where,
            size=held,
            ours=ours,
            unit="statements",
            peer="ours with one finding",
            peer_value=theirs,
            ratio=round(ours / theirs, 2),
            goal=theirs,
            met=ours <= theirs,
        )


class _Desk:
    def __init__(
        self,
        database: Engine,
        sessions: Sessions,
        service: FindingService,
        reviews: ReviewService,
        actor: Actor,
    ) -> None:
        self._sessions, self._service, self._reviews = sessions, service, reviews
        self._actor = actor
        self._bugs = Bugs(2)
        self._last: list[FindingId] = []
        self._sent = 0
        event.listen(database, "before_cursor_execute", self._one_more)

    def _one_more(self, *_given: Any) -> None:
        self._sent += 1

    def submit(self, count: int) -> _Taken:
        """Take in a log, rank what it brought, and propose pairs."""
        raw, key, self._sent = _log(self._bugs, count), secrets.token_hex(8), 0
        began, spent = time.perf_counter(), time.process_time()
        receipt = self._service.submit(
            self._actor, raw, form=Format.SARIF, key=key, package=f"{CROWDED}@1.0"
        )
        received, sent, self._sent = time.perf_counter(), self._sent, 0
        self._last = [FindingId(each.finding) for each in receipt.findings]
        with self._sessions.transaction() as unit:
            found = rank_batch(unit, self._last)
        ranked, asked, spent = time.perf_counter(), self._sent, time.process_time() - spent
        self._reviews.propose_batch(self._last)
        proposed = time.perf_counter()
        return _Taken(
            received=received - began,
            ranked=ranked - received,
            proposed=proposed - ranked,
            cpu=spent,
            sent=sent,
            asked=asked,
            compared=sum(map(bool, found.values())),
        )

    def batches(self) -> tuple[_Taken, _Taken]:
        """The median of some batches, and a submission of one finding."""
        single = self.submit(1)
        taken = sorted(
            (self.submit(BATCH) for _ in range(_TIMES)), key=lambda one: one.received + one.ranked
        )
        return taken[_TIMES // 2], single

    def alone(self) -> float:
        """Seconds to propose pairs of some findings of the last batch one at a time."""
        began = time.perf_counter()
        for each in self._last[:_ALONE]:
            self._reviews.propose(each)
        return time.perf_counter() - began


def _log(bugs: Bugs, count: int) -> bytes:
    results = []
    for _ in range(count):
        words, frames, file, line = bugs.next()
        physical = {"artifactLocation": {"uri": file}, "region": {"startLine": line}}
        stack = [
            {"location": {"logicalLocations": [{"fullyQualifiedName": name}]}} for name in frames
        ]
        results.append(
            {
                "ruleId": "cpp/CWE-121",
                "message": {"text": words},
                "locations": [
                    {
                        "physicalLocation": physical,
                        "logicalLocations": [{"fullyQualifiedName": frames[0]}],
                    }
                ],
                "stacks": [{"frames": stack}],
            }
        )
    tool = {"driver": {"name": "bench"}}
    return json.dumps({"version": "2.1.0", "runs": [{"tool": tool, "results": results}]}).encode()


def _size(database: Engine) -> int:
    with database.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        return int(pages) * int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())


def _largest(database: Engine, held: int) -> str:
    """The tables and indexes that take the most, in bytes for a finding."""
    with database.connect() as connection:
        rows = connection.execute(
            text("SELECT name, sum(pgsize) AS size FROM dbstat GROUP BY name ORDER BY size DESC")
        ).all()
    return ", ".join(f"{row.name} {row.size // held}" for row in rows[:8])
