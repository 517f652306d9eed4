"""A hub, two labs and the road from a proof to an answer."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.findings.intake import Format
from clearhold.findings.known.question import Question, ask, places_in, ticket_of
from clearhold.findings.known.signatures import derive, room_of
from clearhold.findings.model import State
from clearhold.kernel.ids import FindingId
from clearhold.kernel.purl import Purl
from known_proofs import FRAMES, PACKAGE, PROOF


@dataclass(frozen=True)
class Put:
    """A question that was asked, and what it found."""

    question: Question
    outputs: tuple[bytes, ...]
    hits: tuple[int, ...]
    lodgement: str

    @property
    def claim(self) -> dict[str, Any]:
        place = self.hits[0]
        return {
            "lodgement": self.lodgement,
            "ticket": ticket_of(self.outputs[place]),
            "opening": self.question.opening(place),
        }


@pytest.fixture
def labs(party_of: Callable[..., Actor]) -> tuple[Actor, Actor]:
    return party_of(PartyKind.LAB, "lab-alpha"), party_of(PartyKind.LAB, "lab-beta")


@pytest.fixture
def held(hub: Hub, clock: Any, engine: Any) -> Callable[..., FindingId]:
    """Submits a finding that reproduces, indexes it, and lets the lists show it."""
    count = 0

    def hold(actor: Actor, proof: bytes = PROOF, package: str = PACKAGE, **how: Any) -> FindingId:
        nonlocal count
        count += 1
        raw = json.dumps(
            {
                "schema": "clearhold-finding/1",
                "package": package,
                "title": f"Finding {count}",
                "description": "It fails.",
                "target": "encode",
                "claim": {"kind": "crash", "signature": list(FRAMES)},
                "proof": base64.b64encode(proof).decode(),
            }
        ).encode()
        receipt = hub.findings.submit(actor, raw, form=Format.CLEARHOLD_JSON, key=f"k{count}")
        finding = FindingId(receipt.findings[0].finding)
        with hub.sessions.transaction() as unit:
            state = how.get("state", State.REPRODUCED)
            hub.findings.set_verdict(unit, finding, state=state, verdict="x", level=2)
        hub.known.on_decided({"finding": finding})
        (known := how.get("by", hub.known)).index({"finding": finding})
        assert known is not None
        clock.advance(timedelta(hours=1))
        return finding

    return hold


@pytest.fixture
def put(hub: Hub) -> Callable[..., Put]:
    """Asks whether a proof is known, as the command does."""

    def ask_about(actor: Actor, proof: bytes = PROOF, package: str = PACKAGE, **how: Any) -> Put:
        known = how.get("by", hub.known)
        purl = Purl.parse(package)
        question = ask([each.value for each in derive(purl, [proof], frames=FRAMES)])
        lodgement = hub.ledger.lodge(actor, question.commitment).id
        keys = known.published(actor)
        room = room_of(purl)
        answers = known.ask(
            actor, keys.epoch, room, lodgement=lodgement, elements=question.elements
        )
        outputs = question.outputs([each[room] for each in keys.publics], answers)
        hits = places_in(outputs, known.tags(actor, keys.epoch, room))
        return Put(question, outputs, hits, lodgement)

    return ask_about
