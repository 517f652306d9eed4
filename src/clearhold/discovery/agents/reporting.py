"""Submitting what an agent proved, as any finding is submitted, in the name of its party."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Final

import msgspec

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.discovery.agents.keeping import AgentKeeping
from clearhold.discovery.campaigns import CampaignView
from clearhold.discovery.engine import Standing
from clearhold.discovery.keeping import READER
from clearhold.discovery.service import DiscoveryService
from clearhold.findings.intake import Format
from clearhold.findings.report import cleaned_log, one_line
from clearhold.findings.service import FindingService
from clearhold.kernel.ids import DiscoveryId, PrincipalId
from clearhold.parties import records as parties
from clearhold.store.unit_of_work import Sessions
from clearhold.wire.finding_json import MAX_TITLE, SCHEMA

_LONGEST: Final = 60_000


class _Beginning(msgspec.Struct):
    """What the first piece of a transcript says of who worked."""

    model: str
    place: str = ""


class AgentReports:
    """Submits the first proof of a campaign that the laboratory showed, once."""

    def __init__(
        self,
        sessions: Sessions,
        discovery: DiscoveryService,
        agents: AgentKeeping,
        findings: FindingService,
    ) -> None:
        self._sessions = sessions
        self._discovery = discovery
        self._agents = agents
        self._findings = findings

    def report(self, ids: Mapping[str, str]) -> None:
        """Submit for the campaign of `ids`; the same again is the same submission."""
        with self._sessions.transaction() as unit:
            view = self._discovery.open_for(unit, DiscoveryId(ids["campaign"]), reader=READER)
            known = view.campaign
            pieces = self._agents.transcript(unit, known, reader=READER)
            party = parties.by_id(unit, known.party)
        began = msgspec.json.decode(pieces[0].content, type=_Beginning)
        actor = Actor(
            PrincipalId(READER), known.party, party.kind, frozenset({Permission.FINDINGS_SUBMIT})
        )
        self._findings.submit(
            actor,
            _finding(view, f"{began.model}, a language model, for {party.name}"),
            form=Format.CLEARHOLD_JSON,
            key=f"campaign:{known.id}",
            lease=known.lease,
            fence=known.fence,
        )


def _finding(view: CampaignView, finders: str) -> bytes:
    """The finding as a party would write it, with credit to who found it."""
    crash = next(each for each in view.crashes if each.standing is Standing.CONFIRMED)
    said = (
        f"Found by {finders}, in campaign {view.campaign.id}.\n"
        f"Of {crash.target}: {crash.reason}\n\n{view.note}"
    )
    kind = "crash" if "Sanitizer" in crash.reason else "other"  # of others the oracle alone tells
    title = one_line(f"{crash.target}: {crash.reason}")[:MAX_TITLE]
    return json.dumps(
        {
            "schema": SCHEMA,
            "package": view.plan.package,
            "title": title,
            "description": cleaned_log(said)[:_LONGEST],
            "target": crash.target,
            "claim": {"kind": kind},
            "proof": base64.b64encode(crash.content).decode(),
        }
    ).encode()
