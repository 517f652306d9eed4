"""Taking in a thousand findings at once while many are held; what a finding takes on disk.

What is held is written row by row in the shapes that `findings.reception` writes, in bulk: the same
tables, columns, indexes and, as measured on a first batch, sizes, with random bytes where ciphertext stands. The batch itself goes
through the service. Published figures of DefectDojo stand beside; it is not run here.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, event, insert, text

from benchmarks import access
from benchmarks.figure import Figure
from clearhold.access.model import Actor
from clearhold.access.permissions import PERMISSIONS, PartyKind
from clearhold.access.tables import compartment_grant
from clearhold.adapters.blobs_local import LocalBlobs
from clearhold.adapters.clock_system import SystemClock
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.adapters.keys_file import FileKeyRing
from clearhold.findings.intake import Format
from clearhold.findings.service import FindingService
from clearhold.findings.signals import signals
from clearhold.findings.sketches import Sketcher
from clearhold.findings.tables import (
    finding,
    match_key,
    match_sketch,
    match_token,
    submission,
)
from clearhold.kernel.ids import PrincipalId, new_id
from clearhold.ledger.tables import ledger_leaf, ledger_place
from clearhold.scanning.service import ScanningService
from clearhold.store.database import migrate, open_engine
from clearhold.store.unit_of_work import Sessions
from clearhold.vault.service import Vault
from clearhold.vault.tables import artifact, compartment

_BATCH: Final = 1000
_GOAL_SECONDS: Final = 2.0
_GOAL_BYTES: Final = 5_000
_TOKENS: Final = 20  # the most that a finding is indexed under
_PEER: Final = "DefectDojo, published: "


def run(*, full: bool) -> Iterator[Figure]:
    """Seconds for a batch, bytes for a finding, and queries for a submission, on SQLite."""
    held = 1_000_000 if full else 50_000
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
    (lab, other, *_) = access.fill(sessions, vault, cases=2, parties=3)
    actor = Actor(PrincipalId(f"member of {lab}"), lab, PartyKind.LAB, PERMISSIONS[PartyKind.LAB])
    _batches(database, service, actor, times=1)
    sizes = _sizes(database)
    before = _size(database)
    _hold(database, vault, other, count=held, now=clock.now(), sizes=sizes)
    bytes_each = (_size(database) - before) / held
    where = f"findings held ({os.cpu_count()} cores, SQLite)"
    took, queries = _batches(database, service, actor)
    yield Figure(
        bench="intake",
        figure=f"seconds to take in {_BATCH} findings in one SARIF log, receipts included",
        input=where,
        size=held,
        ours=round(took, 2),
        unit="s",
        peer=f"{_PEER}import of 700 findings",
        peer_value=40.0,
        ratio=round(took / _BATCH / (40.0 / 700), 4),
        goal=_GOAL_SECONDS,
        met=took < _GOAL_SECONDS,
    )
    yield Figure(
        bench="intake",
        figure=f"bytes of database for a finding ({_largest(database, held)})",
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
    yield Figure(
        bench="intake",
        figure=f"statements for a submission of {_BATCH} findings, beside one of a single finding",
        input=where,
        size=held,
        ours=queries[1],
        unit="statements",
        peer="ours with one finding",
        peer_value=queries[0],
        ratio=round(queries[1] / queries[0], 2),
        goal=queries[0],
        met=queries[1] <= queries[0],
    )
    database.dispose()


def _batches(
    database: Engine, service: FindingService, actor: Actor, *, times: int = 3
) -> tuple[float, tuple[int, int]]:
    """The median seconds of some batches, and the statements of one finding and of a thousand."""
    sent = 0

    def one_more(*_given: Any) -> None:
        nonlocal sent
        sent += 1

    event.listen(database, "before_cursor_execute", one_more)

    def submit(count: int) -> tuple[float, int]:
        nonlocal sent
        raw, sent = _log(count), 0
        began = time.perf_counter()
        service.submit(
            actor,
            raw,
            form=Format.SARIF,
            key=secrets.token_hex(8),
            package="pkg:pypi/quuxlib@1.0",
        )
        return time.perf_counter() - began, sent

    _, single = submit(1)
    taken = sorted(submit(_BATCH) for _ in range(times))
    event.remove(database, "before_cursor_execute", one_more)
    return taken[times // 2][0], (single, taken[times // 2][1])


def _words() -> str:
    """Three hundred characters that say nothing, of which each log has its own."""
    lengths = (3 + secrets.randbelow(8) for _ in range(42))
    return " ".join(secrets.token_hex(5)[:each] for each in lengths)[:300]


def _log(count: int) -> bytes:
    results = [
        {
            "ruleId": "cpp/CWE-121",
            "message": {"text": _words()},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": f"src/part{number % 97}.c"},
                        "region": {"startLine": number + 1},
                    }
                }
            ],
        }
        for number in range(count)
    ]
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


@dataclass(frozen=True, slots=True)
class _Sizes:
    """What the service itself writes for a finding: bytes of body and receipt, and index keys."""

    body: int
    receipt: int
    keys: int


def _sizes(database: Engine) -> _Sizes:
    with database.connect() as connection:
        found = connection.execute(
            text(
                "SELECT (SELECT avg(length(body)) FROM finding) AS body,"
                " (SELECT sum(length(receipt)) FROM submission) * 1.0 /"
                " (SELECT count(*) FROM finding) AS receipt,"
                " (SELECT count(*) FROM match_key) * 1.0 / (SELECT count(*) FROM finding) AS keys"
            )
        ).one()
    return _Sizes(round(found.body), round(found.receipt), round(found.keys))


def _hold(  # everything it writes is made of these
    database: Engine, vault: Vault, party: str, *, count: int, now: datetime, sizes: _Sizes
) -> None:
    """Write findings of another party in thousands, each thousand one submission."""
    package = [vault.matching_hash("package", f"pkg:pypi/p{each}")[:8] for each in range(500)]
    frames = tuple(f"function_{each}" for each in range(5))
    sketch = Sketcher(package[0]).sketch(
        signals(title="", description=" ".join(map(str, range(100, 200))), claim=frames)
    )
    leaf = 10_000_000
    for start in range(0, count, _BATCH):
        rows: dict[Any, list[dict[str, Any]]] = {
            table: []
            for table in (
                *(
                    compartment,
                    compartment_grant,
                    artifact,
                    submission,
                    finding,
                    match_key,
                    match_sketch,
                    match_token,
                ),
                *(ledger_leaf, ledger_place),
            )
        }
        whole = _compartment(rows, party, now)
        raw, sent = new_id(now), new_id(now)
        rows[artifact].append(
            {
                "id": raw,
                "compartment": whole,
                "media_type": "clearhold/sarif",
                "size": 1,
                "stored_as": secrets.token_hex(32),
                "made_at": now,
                "removed_at": None,
            }
        )
        rows[submission].append(
            {
                "id": sent,
                "party": party,
                "compartment": whole,
                "received_at": now,
                "format": "sarif",
                "raw": raw,
                "lease": None,
                "idempotency_key": secrets.token_hex(32),
                "request": secrets.token_bytes(32),
                "receipt": secrets.token_bytes(_BATCH * sizes.receipt),
            }
        )
        for position in range(min(_BATCH, count - start)):
            within = _compartment(rows, party, now)
            identity = new_id(now)
            rows[finding].append(
                {
                    "id": identity,
                    "submission": sent,
                    "position": position,
                    "party": party,
                    "compartment": within,
                    "received_at": now,
                    "state": "received",
                    "verdict": "",
                    "level": 0,
                    "proof": None,
                    "case_id": None,
                    "body": secrets.token_bytes(sizes.body),
                }
            )
            keys = [("fingerprint", secrets.token_bytes(32)) for _ in range(sizes.keys)]
            tokens = [secrets.token_bytes(8) for _ in range(_TOKENS)]
            number = start + position + 1_000_000
            rows[match_sketch].append(
                {
                    "number": number,
                    "finding": identity,
                    "package": package[(start + position) % len(package)],
                    "received_at": now,
                    "sketch": sketch.to_bytes(),
                    "tokens": b"".join(tokens),
                }
            )
            rows[match_token] += [{"token": token, "number": number} for token in tokens]
            rows[match_key] += [
                {"kind": kind, "value": value, "finding": identity} for kind, value in keys
            ]
            for done in (
                ("access:compartment:read-in", party, {"tier": "0", "reason": "submitter"}),
                ("findings:finding:receive", identity, {"submission": sent}),
            ):
                leaf += 1
                rows[ledger_leaf].append(_leaf(leaf, now, done, within=within))
                rows[ledger_place].append({"place": leaf, "leaf": leaf})
        with database.begin() as connection:
            for table, many in rows.items():
                connection.execute(insert(table), many)


def _compartment(rows: dict[Any, list[dict[str, Any]]], party: str, now: datetime) -> str:
    identity = new_id(now)
    rows[compartment].append(
        {
            "id": identity,
            "opened_at": now,
            "kek": "kek-1",
            "wrapped_key": secrets.token_bytes(60),
            "destroyed_at": None,
        }
    )
    rows[compartment_grant].append(
        {
            "compartment": identity,
            "grantee": party,
            "party": party,
            "tier": 0,
            "reason": "submitter",
            "granted_by": "service:findings",
            "granted_at": now,
            "emergency": False,
        }
    )
    return identity


def _leaf(
    number: int, now: datetime, done: tuple[str, str, dict[str, str]], *, within: str
) -> dict[str, Any]:
    action, subject, detail = done
    return {
        "seq": number,
        "at": now,
        "actor": "service:findings",
        "action": action,
        "subject": subject,
        "compartment": within,
        "detail": detail,
        "previous": secrets.token_bytes(32),
        "salt": secrets.token_bytes(32),
        "commitment": hashlib.sha256(number.to_bytes(8)).digest(),
    }
