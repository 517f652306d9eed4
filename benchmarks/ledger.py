"""How fast leaves get into the tree, and what a leaf costs the transaction that writes it."""

from __future__ import annotations

import secrets
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, insert, select

from benchmarks import databases
from benchmarks.figure import Figure
from clearhold.adapters.clock_system import SystemClock
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.kernel.merkle import Frontier, leaf_hash
from clearhold.ledger import audit, records
from clearhold.ledger.files import LogFiles
from clearhold.ledger.model import Cadence, Entry
from clearhold.ledger.sequencer import Sequencer
from clearhold.ledger.tables import ledger_leaf
from clearhold.parties.tables import party
from clearhold.store.unit_of_work import Sessions
from clearhold.wire.signed_note import NoteSigner

_LEAVES_A_SECOND = 10_000
_NOT_VISIBLE = 1.5


def run(*, full: bool) -> Iterator[Figure]:
    """Leaves integrated a second, and the median of a small transaction with one leaf."""
    for name, opened in (("SQLite", databases.sqlite), ("PostgreSQL", databases.postgresql)):
        with opened() as database:
            yield _latency(database, name, times=3000 if full else 400)
            yield _integration(database, name, leaves=500_000 if full else 40_000)


def _integration(database: Engine, name: str, *, leaves: int) -> Figure:
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as directory:
        sequencer = Sequencer(
            database,
            LogFiles(Path(directory)),
            signer=NoteSigner("bench.invalid/log", Ed25519PrivateKey.generate()),
            padding=lambda place: place.to_bytes(32, "big"),
            cadence=Cadence(timedelta(minutes=5), 256),
            clock=clock,
        )
        sequencer.integrate()
        for first in range(0, leaves, 5000):
            entries = [
                Entry(clock.now(), "bench", "bench:leaf:write", str(first + number), None, {})
                for number in range(5000)
            ]
            with database.begin() as connection:
                records.append(connection, entries)
        began = time.perf_counter()
        count = sequencer.integrate()
        ours = count / (time.perf_counter() - began)
    with database.connect() as connection:
        intact = audit.verify(connection).intact
        commitments = connection.execute(select(ledger_leaf.c.commitment)).scalars().all()
    began = time.perf_counter()
    Frontier().extended(leaf_hash(each) for each in commitments)
    peer = len(commitments) / (time.perf_counter() - began)
    return Figure(
        bench="ledger",
        figure="leaves integrated by the sequencer",
        input=f"committed leaves on {name}",
        size=leaves,
        ours=round(ours),
        unit="leaves/s",
        peer="the tree's hashes alone, in memory",
        peer_value=round(peer),
        ratio=round(ours / peer, 3),
        goal=_LEAVES_A_SECOND,
        met=intact and count == leaves and ours >= _LEAVES_A_SECOND,
    )


def _latency(database: Engine, name: str, *, times: int) -> Figure:
    clock = SystemClock()
    sessions = Sessions(database, clock=clock, engine=MemoryEngine(clock))
    taken: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(2 * times):
        leaf = bool(turn % 2)  # by turns, so that a slow disk is slow for both
        identity = secrets.token_hex(8)
        began = time.perf_counter()
        with sessions.transaction() as unit:
            unit.connection.execute(
                insert(party).values(
                    id=identity,
                    handle=identity,
                    name="A party",
                    kind="lab",
                    registered_at=unit.now,
                )
            )
            if leaf:
                unit.record("bench:row:write", actor="bench", subject=identity)
        taken[leaf].append(time.perf_counter() - began)
    with database.connect() as connection:
        intact = audit.verify(connection).intact
    bare, ours = (statistics.median(taken[leaf]) for leaf in (False, True))
    return Figure(
        bench="ledger",
        figure="p50 of a transaction with one leaf",
        input=f"transactions on {name}",
        size=times,
        ours=round(ours * 1e6),
        unit="us",
        peer="the same transaction without a leaf",
        peer_value=round(bare * 1e6),
        ratio=round(ours / bare, 2),
        goal=_NOT_VISIBLE,
        met=intact and ours / bare <= _NOT_VISIBLE,
    )
