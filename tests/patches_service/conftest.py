"""A case ready for fixes, and a judge that decides by rules that can be read here."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from judging_rules import MAINTAINER, RulingJudge, Workbench

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.assembly.hub import Hub
from clearhold.cases.material import CaseMaterial
from clearhold.cases.model import Role
from clearhold.findings.intake import Format
from clearhold.findings.model import Match, Method, State
from clearhold.kernel.ids import FindingId, VulnerabilityId
from clearhold.patches.flows import Judging
from clearhold.patches.service import JUDGE
from reproduction_bench import few_inputs, laboratory, ujson

__all__ = ["few_inputs", "laboratory", "ujson"]


@pytest.fixture
def found(hub: Hub, clock: Any, engine: MemoryEngine) -> Callable[..., FindingId]:
    """Submits a finding whose proof is `proof` and says that it reproduced."""
    engine.register("on:finding.submitted", lambda _ids: None)

    def make(
        actor: Actor, proof: bytes, package: str = "quuxlib@1.0", target: str = "encode"
    ) -> FindingId:
        document = {
            "schema": "clearhold-finding/1",
            "package": f"pkg:pypi/{package}",
            "title": "Overflow",
            "description": "A boundless copy.",
            "target": target,
            "claim": {"kind": "crash"},
            "proof": base64.b64encode(proof).decode(),
        }
        clock.advance(timedelta(seconds=1))
        receipt = hub.findings.submit(
            actor, json.dumps(document).encode(), form=Format.CLEARHOLD_JSON, key=uuid.uuid4().hex
        )
        finding = FindingId(receipt.findings[0].finding)
        with hub.sessions.transaction() as unit:
            hub.findings.set_verdict(
                unit, finding, state=State.REPRODUCED, verdict="reproduced", level=3
            )
        return finding

    return make


@pytest.fixture
def bench(
    hub: Hub,
    party_of: Callable[..., Actor],
    engine: MemoryEngine,
    found: Callable[..., FindingId],
) -> Workbench:
    """A case with two finders' proofs, a vendor who accepted it, and a proof of another case."""
    coordinator = party_of(PartyKind.COORDINATOR)
    maintainer = party_of(PartyKind.MAINTAINER, MAINTAINER)
    lab, finder = party_of(PartyKind.LAB), party_of(PartyKind.FINDER)
    first, second = found(lab, b"PROOF-ONE"), found(finder, b"PROOF-TWO")
    found(finder, b"PROOF-ELSEWHERE")
    found(finder, b"PROOF-UNRELATED", package="another@1.0")
    with hub.sessions.transaction() as unit:
        hub.findings.assert_match(
            unit, first, second, verdict=Match.SAME, method=Method.PERSON, evidence={}, by="test"
        )
    case = hub.cases.open(coordinator, VulnerabilityId(first), title="Quux", key="k").id
    hub.readers.read_in(
        coordinator, case, MAINTAINER, role=Role.VENDOR, tier=1, reason="maintains it"
    )
    judge = RulingJudge()
    judging = Judging(hub.sessions, hub.vault, CaseMaterial(hub.findings), judge)
    engine.register(JUDGE, judging.judge)
    engine.run_due()
    return Workbench(
        hub=hub,
        engine=engine,
        judge=judge,
        judging=judging,
        case=case,
        coordinator=coordinator,
        maintainer=maintainer,
        lab=lab,
        finder=finder,
        stranger=party_of(PartyKind.MAINTAINER, "someone-else"),
        findings=(first, second),
    )
