"""Findings that are held: written in bulk, in the rows and sizes that `findings.reception` writes.

Random bytes stand for ciphertext. Half a thousand packages share most of them; one package is
crowded, with findings whose index rows are made as the service makes them, from the same functions,
files and words as the batch that is then ranked against them.
"""

from __future__ import annotations

import hashlib
import random
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, insert, text

from clearhold.access.tables import compartment_grant
from clearhold.findings.match_records import MOST_HELD
from clearhold.findings.signals import Signals, signals
from clearhold.findings.sketches import Sketcher
from clearhold.findings.tables import finding, match_key, match_sketch, match_token, submission
from clearhold.kernel.ids import new_id
from clearhold.ledger.tables import ledger_leaf, ledger_place
from clearhold.vault.service import Vault
from clearhold.vault.tables import artifact, compartment

BATCH: Final = 1000
CROWD: Final = 50_000
CROWDED: Final = "pkg:pypi/quuxlib"
PACKAGES: Final = 500


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the service itself writes for a finding: bytes of body and receipt, keys and tokens."""

    body: int
    receipt: int
    keys: int
    tokens: int


def sizes(database: Engine) -> Sizes:
    """As measured on what the service has written."""
    with database.connect() as connection:
        found = connection.execute(
            text(
                "SELECT (SELECT avg(length(body)) FROM finding) AS body,"
                " (SELECT sum(length(receipt)) FROM submission) * 1.0 /"
                " (SELECT count(*) FROM finding) AS receipt,"
                " (SELECT count(*) FROM match_key) * 1.0 / (SELECT count(*) FROM finding) AS keys,"
                " (SELECT avg(length(tokens)) / 8 FROM match_sketch) AS tokens"
            )
        ).one()
    return Sizes(round(found.body), round(found.receipt), round(found.keys), round(found.tokens))


def crowd_of(held: int) -> int:
    """How many of those held are on the crowded package: 50,000, of fewer than 100,000 half."""
    return held // (held // min(CROWD, held // 2))


class Bugs:
    """Made-up reports on one library: five frames, a file and forty words, drawn from a stock.

    Two reports have frames, files and words in common as often as those of a much-scanned library.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - made-up text
        stock = random.Random("stock")  # noqa: S311 - as above
        syllables = ["buf", "parse", "read", "node", "attr", "list", "free", "utf", "len", "copy"]
        self._functions = [
            f"{'_'.join(stock.sample(syllables, 3))}{each % 7}" for each in range(3_000)
        ]
        self._words = ["".join(stock.choices("abcdefghijklmnop", k=6)) for _ in range(2_000)]

    def next(self) -> tuple[str, tuple[str, ...], str, int]:
        """The words, the frames innermost first, the file and its line."""
        draw = self._random
        words = " ".join(draw.choices(self._words, k=40))
        frames = tuple(draw.sample(self._functions, 5))
        return words, frames, f"src/part{draw.randrange(300)}.c", draw.randrange(1, 5_000)


def told_of(words: str, frames: tuple[str, ...], file: str, line: int) -> Signals:
    """The signals that reception makes of such a report."""
    trace = "\n".join(f"#{at} in {name}" for at, name in enumerate(frames))
    return signals(
        title=words[:200],
        description=f"{words}\n{trace}",
        weakness="CWE-121",
        claim=frames,
        locations=[f"{file}:{line} {frames[0]}"],
    )


def hold(
    database: Engine, vault: Vault, party: str, *, count: int, now: datetime, sizes: Sizes
) -> None:
    """Write findings of another party in thousands, each thousand one submission."""
    filler = _Filler(vault, party, count=count, now=now, sizes=sizes)
    with database.connect() as connection:
        # What is held must only be there; the measured part runs on connections made as ever.
        raw = connection.connection.dbapi_connection
        assert raw is not None
        for pragma in ("synchronous=OFF", "foreign_keys=OFF", "cache_size=-6000000"):
            raw.execute(f"PRAGMA {pragma}")
        for start in range(0, count, BATCH):
            filler.write(connection, start)
            connection.commit()
    database.dispose()


class _Filler:
    def __init__(
        self, vault: Vault, party: str, *, count: int, now: datetime, sizes: Sizes
    ) -> None:
        self._party, self._now, self._sizes, self._count = party, now, sizes, count
        self._packages = [
            vault.matching_hash("package", f"pkg:pypi/p{each}")[:8] for each in range(PACKAGES)
        ]
        self._crowded = vault.matching_hash("package", CROWDED)[:8]
        self._sketcher = Sketcher(vault.matching_hash("match-index", self._crowded.hex()))
        self._bugs = Bugs(1)
        self._sketch = self._sketcher.sketch(told_of(*self._bugs.next())).to_bytes()
        self._every = count // crowd_of(count)
        self._postings: dict[bytes, int] = {}
        self._leaf = 10_000_000

    def write(self, connection: Connection, start: int) -> None:
        """Write the thousand that begins at `start`."""
        rows: dict[Any, list[dict[str, Any]]] = {
            table: []
            for table in (
                *(compartment, compartment_grant, artifact, submission, finding, match_key),
                *(match_sketch, match_token, ledger_leaf, ledger_place),
            )
        }
        now, sizes = self._now, self._sizes
        whole = _compartment(rows, self._party, now)
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
                "party": self._party,
                "compartment": whole,
                "received_at": now,
                "format": "sarif",
                "raw": raw,
                "lease": None,
                "idempotency_key": secrets.token_hex(32),
                "request": secrets.token_bytes(32),
                "receipt": secrets.token_bytes(BATCH * sizes.receipt),
            }
        )
        for position in range(min(BATCH, self._count - start)):
            self._finding(rows, start + position, position, sent)
        for table, many in rows.items():
            connection.execute(insert(table), many)

    def _finding(
        self, rows: dict[Any, list[dict[str, Any]]], number: int, position: int, sent: str
    ) -> None:
        # Spread over the year before, as what a clearinghouse holds is.
        at = self._now - timedelta(days=365 * (1 - number / self._count))
        within = _compartment(rows, self._party, self._now)
        identity = new_id(self._now)
        rows[finding].append(
            {
                "id": identity,
                "submission": sent,
                "position": position,
                "party": self._party,
                "compartment": within,
                "received_at": at,
                "state": "received",
                "verdict": "",
                "level": 0,
                "proof": None,
                "case_id": None,
                "body": secrets.token_bytes(self._sizes.body),
            }
        )
        self._index(rows, number + 1_000_000, identity, at)
        rows[match_key] += [
            {"kind": "fingerprint", "value": secrets.token_bytes(32), "finding": identity}
            for _ in range(self._sizes.keys)
        ]
        for done in (
            ("access:compartment:read-in", self._party, {"tier": "0", "reason": "submitter"}),
            ("findings:finding:receive", identity, {"submission": sent}),
        ):
            self._leaf += 1
            rows[ledger_leaf].append(_leaf(self._leaf, self._now, done, within=within))
            rows[ledger_place].append({"place": self._leaf, "leaf": self._leaf})

    def _index(
        self, rows: dict[Any, list[dict[str, Any]]], number: int, identity: str, at: datetime
    ) -> None:
        if number % self._every == 0:
            package, told = self._crowded, told_of(*self._bugs.next())
            sketch = self._sketcher.sketch(told).to_bytes()
            tokens = self._sketcher.tokens(told)
            posted = [each for each in tokens if self._postings.get(each, 0) < MOST_HELD]
            for each in posted:
                self._postings[each] = self._postings.get(each, 0) + 1
        else:
            # Every token its own: nothing is left out for being common, so this takes the most.
            package, sketch = self._packages[number % PACKAGES], self._sketch
            posted = [secrets.token_bytes(8) for _ in range(self._sizes.tokens)]
            tokens = tuple(posted)
        rows[match_sketch].append(
            {
                "number": number,
                "finding": identity,
                "package": package,
                "received_at": at,
                "sketch": sketch,
                "tokens": b"".join(tokens),
            }
        )
        rows[match_token] += [{"token": token, "number": number} for token in posted]


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
