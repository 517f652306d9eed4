"""Asking whether a flaw is known: how long it takes, whom it recognises, and what guessing gains.

The peer is the salted exact hash of package, file and weakness that one published tool for finders
uses to let its users check a claim, as its documentation tells it, on the same findings.
"""

from __future__ import annotations

import hashlib
import random
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, text

from benchmarks import databases
from benchmarks.figure import Figure
from benchmarks.known_proofs import KINDS, VARIANTS, guesses, proof, seed, variant, weak, words
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind, Permission
from clearhold.adapters.clock_system import SystemClock
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.adapters.keys_file import FileKeyRing
from clearhold.findings.known.question import ask, places_in
from clearhold.findings.known.service import KnownService, Quotas
from clearhold.findings.known.signatures import PER_QUESTION, ROOMS, Public, derive, room_of
from clearhold.kernel.ids import PartyId, PrincipalId
from clearhold.kernel.purl import Purl
from clearhold.ledger import records as ledger
from clearhold.ledger.model import Entry
from clearhold.store.unit_of_work import Sessions

_FINDINGS: Final = 1_000_000
_GUESSES: Final = 10_000
_FRAMES: Final = ("decode_record", "read_table", "parse")
_FILES: Final = [f"src/module_{number}.c" for number in range(200)]
_WEAKNESSES: Final = [
    f"CWE-{number}" for number in (119, 121, 122, 125, 787, 416, 190, 476, 20, 400)
]
_NEAR: Final = {"CWE-121": ("CWE-121", "CWE-787", "CWE-119"), "CWE-416": ("CWE-416", "CWE-825")}


def run(*, full: bool) -> Iterator[Figure]:
    """The time of a whole question, the hit rate by kind of variant, an attacker's successes."""
    yield _time(full=full)
    yield from _recognised(proofs=200 if full else 40)
    yield _guessed(packages=20 if full else 1)


def _time(*, full: bool) -> Figure:
    with databases.sqlite() as database, tempfile.TemporaryDirectory() as directory:
        clock = SystemClock()
        sessions = Sessions(database, clock=clock, engine=MemoryEngine(clock))
        ring = FileKeyRing(Path(directory) / "ring.json", data_directory=Path(directory) / "data")
        known = KnownService(
            sessions,
            None,  # type: ignore[arg-type]  # nothing is indexed here through the product
            ring=ring,
            quotas=Quotas(questions=1000),
        )
        actor = _lab(database)
        package = Purl.parse("pkg:generic/package")
        known.published(actor)
        _fill(database, room_of(package), signatures=PER_QUESTION if full else 1)
        rng = random.Random(3)  # noqa: S311  # a benchmark's input
        names, base = words(rng, 400), seed(rng)
        taken = []
        for _ in range(9):
            made = proof(rng, "script", names, base)
            began = time.perf_counter()
            _ask(known, sessions, actor, package, made)
            taken.append(time.perf_counter() - began)
        salted = {secrets.token_bytes(32) for _ in range(_FINDINGS)}
        began = time.perf_counter()
        found = _claim_check(b"salt", "package", _FILES[0], "CWE-121") in salted
        peer = time.perf_counter() - began
    slowest = max(taken)
    return Figure(
        bench="known-check",
        figure="slowest of 9 whole questions, from proof to answer, room's list fetched anew",
        input="findings held on SQLite"
        + ("" if full else "; the room asked holds 16 signatures of each, other rooms 1"),
        size=_FINDINGS,
        ours=round(slowest, 3),
        unit="s",
        peer="salted exact hash, looked up in memory by one who holds all",
        peer_value=round(peer, 6),
        ratio=round(slowest / max(peer, 1e-9)),
        goal=1,
        met=slowest < 1 and not found,
    )


def _lab(database: Engine) -> Actor:
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO party (id, handle, name, kind, registered_at) VALUES ('p','p','P','lab',0)"
            )
        )
    permissions = frozenset({Permission.FINDINGS_SUBMIT, Permission.LEDGER_LODGE})
    return Actor(
        party=PartyId("p"), principal=PrincipalId("s"), kind=PartyKind.LAB, permissions=permissions
    )


def _fill(database: Engine, room: int, *, signatures: int) -> None:
    """A million findings' entries, made inside the database."""
    with database.connect() as connection:
        raw: Any = connection.connection.dbapi_connection
        raw.execute("PRAGMA foreign_keys=OFF")
        raw.execute("PRAGMA synchronous=OFF")
        raw.execute("BEGIN")
        raw.execute(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i < ?)"
            " INSERT INTO known_entry (finding, epoch, ticket, room, place, tag, package)"
            " SELECT 'f' || (i / ?), 1, randomblob(32), i % 256, i / 256, randomblob(8), randomblob(16)"
            " FROM n"
            " WHERE i % 256 <> ?",
            (_FINDINGS * signatures - 1, signatures, room),
        )
        raw.execute(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i < ?)"
            " INSERT INTO known_entry (finding, epoch, ticket, room, place, tag, package)"
            " SELECT 'r' || (i / 16), 1, randomblob(32), ?, i, randomblob(8), randomblob(16) FROM n",
            (_FINDINGS * PER_QUESTION // ROOMS - 1, room),
        )
        raw.execute("UPDATE known_epoch SET start = 65536")
        raw.execute("COMMIT")
        raw.execute("PRAGMA foreign_keys=ON")
        raw.execute("PRAGMA synchronous=FULL")


def _ask(
    known: KnownService, sessions: Sessions, actor: Actor, package: Purl, made: bytes
) -> tuple[int, ...]:
    """Everything a finder's machine and the hub do for one question, but the network between."""
    signed = derive(package, [made], frames=_FRAMES)
    question = ask([each.value for each in signed])
    keys = known.published(actor)
    with sessions.transaction() as unit:
        entry = Entry(unit.now, actor.principal, "ledger:commitment:lodge", "x", None, {})
        lodged = ledger.lodge(
            unit.connection,
            identity=secrets.token_hex(8),
            party=actor.party,
            commitment=question.commitment,
            entry=entry,
        )
    room = room_of(package)
    answers = known.ask(actor, keys.epoch, room, lodgement=lodged.id, elements=question.elements)
    outputs = question.outputs([each[room] for each in keys.publics], answers)
    return places_in(outputs, known.tags(actor, keys.epoch, room))


def _claim_check(salt: bytes, package: str, file: str, weakness: str) -> bytes:
    return hashlib.sha256(salt + f"{package}\0{file}\0{weakness}".encode()).digest()


def _recognised(*, proofs: int) -> Iterator[Figure]:
    """Whether variants meet. Equal signatures have equal values of the function, and others never."""
    rng = random.Random(1)  # noqa: S311  # a benchmark's input
    package = Purl.parse("pkg:generic/package")
    names, base = words(rng, 400), seed(rng)
    public = Public.of(package, frames=_FRAMES, files=[base])
    hits: Counter[str] = Counter()
    theirs: Counter[str] = Counter()
    askable: Counter[str] = Counter()
    for number in range(proofs * len(KINDS)):
        kind = KINDS[number % len(KINDS)]
        held = proof(rng, kind, names, base)
        indexed = {each.value for each in derive(package, [held], frames=_FRAMES, public=public)}
        file, weakness = rng.choice(_FILES), rng.choice(("CWE-121", "CWE-416"))
        known = _claim_check(b"salt", "package", file, weakness)
        for how in VARIANTS:
            other = variant(rng, how, kind, held, names=names, base=base)
            asked = {each.value for each in derive(package, [other], frames=_FRAMES, public=public)}
            askable[how] += bool(asked)
            hits[how] += bool(asked & indexed)
            named = (rng.choice((file, file, rng.choice(_FILES))), rng.choice(_NEAR[weakness]))
            theirs[how] += _claim_check(b"salt", "package", *named) == known
    size = proofs * len(KINDS)
    for how in VARIANTS:
        rate, peer = hits[how] / size, theirs[how] / size
        # Of proofs that share no line there is nothing to share; that figure has no goal.
        goal = 0.0 if how == VARIANTS[-1] else 0.8
        yield Figure(
            bench="known-check",
            figure=f"variants recognised: {how}",
            input=f"proofs made of scripts, JSON and mutated files; {askable[how]} could be asked about",
            size=size,
            ours=round(rate, 3),
            unit="share",
            peer="salted exact hash; of three finders two name the same file, two or three the weakness",
            peer_value=round(peer, 3),
            ratio=round(rate / max(peer, 1e-9), 2),
            goal=goal,
            met=rate >= goal,
        )


def _guessed(*, packages: int) -> Figure:
    """Held proofs found by 10,000 guesses at each package, whoever made the guess and whatever hits."""
    found = peer = 0
    for number in range(packages):
        rng = random.Random(f"held {number}")  # noqa: S311  # a benchmark's input
        package = Purl.parse(f"pkg:generic/package-{number}")
        names, base = words(rng, 400), seed(rng)
        public = Public.of(package, frames=_FRAMES, files=[base])
        held = [proof(rng, kind, names, base) for kind in KINDS for _ in range(10)]
        indexed = {
            each.value
            for made in (*held, *weak(), base)
            for each in derive(package, [made], frames=_FRAMES, public=public)
        }
        attacker = random.Random(f"attacker {number}")  # noqa: S311
        bare = Public.of(package, frames=_FRAMES)
        for guess in guesses(attacker, names, base, _GUESSES):
            tried = derive(package, [guess], frames=_FRAMES, public=bare)
            found += not indexed.isdisjoint(each.value for each in tried)
        claims = {
            _claim_check(b"salt", str(package), rng.choice(_FILES), rng.choice(_WEAKNESSES))
            for _ in held
        }
        tries = [
            _claim_check(b"salt", str(package), file, weakness)
            for file in _FILES
            for weakness in _WEAKNESSES
        ]
        peer += sum(each in claims for each in tries[:_GUESSES])
    return Figure(
        bench="known-check",
        figure="guesses that hit, of 10,000 per package",
        input="packages with 30 held proofs each; the guesser draws from the finders' own source",
        size=packages,
        ours=round(found / packages, 2),
        unit="hits",
        peer="salted exact hash with the salt all members share; 2,000 files and weaknesses tried",
        peer_value=round(peer / packages, 2),
        ratio=round(found / max(peer, 1), 3),
        goal=0,
        met=found == 0,
    )
