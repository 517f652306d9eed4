"""What interchange records say of others, for coordinators to bring before those it concerns.

A record that somebody wants no contact, or how maintainers take reports, binds nobody until its
owner says so; unless a coordinator saw it, nobody would ever ask the owner. Claims stay with who
sent them: what they are about is under embargo elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.findings import records
from clearhold.findings.intake import Format
from clearhold.findings.model import Receipt
from clearhold.findings.reception import receipt_place
from clearhold.store.unit_of_work import Sessions
from clearhold.vault.service import Sealed, Vault

MOST_SUBMISSIONS: Final = 100
_SHOWN: Final = ("optout/", "route/")


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a record says: its kind, of which repository, who sent it when, and what to do."""

    kind: str
    about: str
    sent_by: str
    received_at: datetime
    submission: str
    next_step: str


class ProposalService:
    """Lists what third parties say others wish."""

    def __init__(self, sessions: Sessions, vault: Vault) -> None:
        self._sessions = sessions
        self._vault = vault

    def list(self, actor: Actor) -> tuple[Proposal, ...]:
        """The opt-outs and routes in the latest submissions of interchange records, latest first."""
        actor.need(Permission.FINDINGS_QUEUE)
        with self._sessions.transaction() as unit:
            latest = records.latest_of_format(unit, Format.INTERCHANGE, limit=MOST_SUBMISSIONS)
            sealed = [
                Sealed(each.compartment, receipt_place(each.id), each.receipt) for each in latest
            ]
            opened = self._vault.unseal_all(unit, sealed, reader=actor.principal)
        return tuple(
            Proposal(
                kind=record.kind,
                about=record.about,
                sent_by=each.party,
                received_at=each.received_at,
                submission=each.id,
                next_step=record.next_step,
            )
            for each, content in zip(latest, opened, strict=True)
            for record in Receipt.from_bytes(content).records
            if record.kind.startswith(_SHOWN)
        )
