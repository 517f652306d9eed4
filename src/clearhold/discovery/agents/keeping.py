"""What campaigns of agents leave behind, sealed: transcripts, and what was used up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from clearhold.discovery.agents import records, transcript
from clearhold.discovery.agents.journal import Spent, full, piece
from clearhold.discovery.agents.records import StoredPiece, StoredRun
from clearhold.discovery.records import Campaign
from clearhold.kernel.errors import LimitError
from clearhold.kernel.ids import PartyId
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault

TOKENS_PER_DAY: Final = 2_000_000
_COLUMN: Final = ("agent_piece", "sealed_content")
_NOTHING: Final = StoredRun(Spent(), 0, 0, transcript.BEGINNING)


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a transcript, opened: its bytes and its digest."""

    number: int
    content: bytes
    digest: bytes


class AgentKeeping:
    """Keeps transcripts and counts; a party may use up `tokens_per_day` within a day."""

    def __init__(
        self, sessions: Sessions, vault: Vault, *, tokens_per_day: int = TOKENS_PER_DAY
    ) -> None:
        self._sessions = sessions
        self._vault = vault
        self._tokens_per_day = tokens_per_day

    def journal(self, known: Campaign) -> CampaignJournal:
        """Where the transcript of a campaign is written."""
        return CampaignJournal(self._sessions, self, known)

    def within_the_day(self, unit: UnitOfWork, party: PartyId) -> None:
        """Raise `LimitError` when a party has used up the tokens of a day."""
        used = records.tokens_of(unit, party, since=unit.now - timedelta(days=1))
        if used >= self._tokens_per_day:
            raise LimitError(
                f"Your party may use up {self._tokens_per_day} tokens within a day.",
                next_step="Wait, or let an agent of your own search over MCP.",
            )

    def run(self, unit: UnitOfWork, known: Campaign) -> StoredRun:
        """What a campaign's agent used up so far."""
        return records.run(unit, known.id) or _NOTHING

    def write(
        self, unit: UnitOfWork, known: Campaign, kind: str, content: Mapping[str, Any], spent: Spent
    ) -> StoredRun:
        """Add a piece to a transcript. Raises `LimitError` beyond its bound."""
        stored = records.run(unit, known.id)
        before = stored or _NOTHING
        written = piece(kind, content)
        if before.size + len(written) > transcript.MOST_BYTES:
            raise full()
        number = before.pieces + 1
        digest = transcript.link(before.head, number, written)
        after = StoredRun(spent, number, before.size + len(written), digest)
        sealed = self._vault.seal(
            unit, known.compartment, place=(*_COLUMN, _row(known, number)), content=written
        )
        records.write(
            unit, known.id, after, StoredPiece(number, sealed, digest), first=stored is None
        )
        return after

    def transcript(self, unit: UnitOfWork, known: Campaign, *, reader: str) -> tuple[Piece, ...]:
        """A whole transcript, released to `reader`; empty when there is none."""
        stored = records.pieces(unit, known.id)
        opened = self._vault.unseal_batch(
            unit,
            known.compartment,
            place=_COLUMN,
            rows=[(_row(known, each.number), each.sealed) for each in stored],
            reader=reader,
        )
        return tuple(
            Piece(each.number, content, each.digest)
            for each, content in zip(stored, opened, strict=True)
        )


class CampaignJournal:
    """The journal of one campaign: every piece is kept before the next comes about."""

    def __init__(self, sessions: Sessions, keeping: AgentKeeping, known: Campaign) -> None:
        self._sessions = sessions
        self._keeping = keeping
        self._known = known
        with sessions.transaction() as unit:
            self._last = keeping.run(unit, known)

    @property
    def spent(self) -> Spent:
        """What was used up, earlier tries included."""
        return self._last.spent

    @property
    def head(self) -> bytes:
        """The last digest."""
        return self._last.head

    def append(self, kind: str, content: Mapping[str, Any], spent: Spent) -> None:
        """Keep a piece. Raises `LimitError` when it is full, or the party's day is used up."""
        with self._sessions.transaction() as unit:
            self._last = self._keeping.write(unit, self._known, kind, content, spent)
        with self._sessions.transaction() as unit:
            self._keeping.within_the_day(unit, self._known.party)


def _row(known: Campaign, number: int) -> str:
    return f"{known.id}:{number}"
