"""The real laboratory judges real fixes of a real flaw (CVE-2021-45958 in ujson 5.1.0)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import pytest
from judging_rules import MAINTAINER

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.assembly.hub import Hub
from clearhold.cases.material import CaseMaterial
from clearhold.cases.model import Role
from clearhold.demo import material
from clearhold.findings.model import Match, Method
from clearhold.kernel.ids import FindingId, VulnerabilityId
from clearhold.patches import replaying
from clearhold.patches.flows import Judging
from clearhold.patches.judge import LaboratoryJudge
from clearhold.patches.records import Origin, State
from clearhold.patches.service import JUDGE
from clearhold.validation.builder import Laboratory
from clearhold.validation.known_proofs import NESTED_OBJECTS
from clearhold.validation.recipe import Recipe
from reproduction_bench import DEEP_LISTS

# Mappings, where the other proof nests lists: what hides the one leaves the other.


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_fix_that_hides_a_proof_is_refused_and_the_real_one_is_made_installable(
    hub: Hub,
    party_of: Callable[..., Actor],
    found: Callable[..., FindingId],
    laboratory: Laboratory,
    ujson: Recipe,
) -> None:
    assert isinstance(hub.engine, MemoryEngine)
    judging = Judging(
        hub.sessions, hub.vault, CaseMaterial(hub.findings), LaboratoryJudge(laboratory)
    )
    hub.engine.register(JUDGE, judging.judge)
    coordinator = party_of(PartyKind.COORDINATOR)
    maintainer = party_of(PartyKind.MAINTAINER, MAINTAINER)
    package = f"ujson@{ujson.side('vulnerable').version}"
    first = found(party_of(PartyKind.LAB), DEEP_LISTS, package)
    second = found(party_of(PartyKind.LAB), NESTED_OBJECTS, package, "dumps")
    with hub.sessions.transaction() as unit:
        hub.findings.assert_match(
            unit, first, second, verdict=Match.SAME, method=Method.PERSON, evidence={}, by="test"
        )
    case = hub.cases.open(coordinator, VulnerabilityId(first), title="ujson", key="k").id
    hub.readers.read_in(
        coordinator, case, MAINTAINER, role=Role.VENDOR, tier=1, reason="its vendor"
    )
    submitted = [
        hub.patches.submit(maintainer, case, diff, origin=Origin.MAINTAINER, note="", key=str(key))
        for key, diff in enumerate((material.hiding_fix(), material.real_fix()))
    ]
    hub.engine.run_due()
    hiding, real = (hub.patches.get(maintainer, each.id) for each in submitted)

    assert hiding.judgement is not None
    assert (hiding.state, hiding.deliverable) == (State.REFUSED, False), hiding.judgement.reason
    assert hiding.judgement.kind == "symptom_only"
    assert {each.finding: each.stopped for each in hiding.judgement.proofs}[second] is False

    assert real.judgement is not None
    assert (real.state, real.deliverable) == (State.ACCEPTED, True), real.judgement.reason
    assert all(each.stopped for each in real.judgement.proofs)
    assert real.judgement.limits
    recorded = replaying.read(hub.patches.evidence(maintainer, real.id), key=None)
    assert (recorded.diff, recorded.judgement.kind) == (material.real_fix(), "accepted")
    assert {proof.target for proof in recorded.proofs} == {"encode", "dumps"}
    name, wheel = hub.patches.wheel(maintainer, real.id)
    assert name.startswith("ujson-5.1.0+clearhold.1-")
    assert zipfile.ZipFile(io.BytesIO(wheel)).testzip() is None
    with hub.sessions.transaction() as unit:
        made = hub.patches.delivery_of(unit, case, reader="service:test")
    assert made is not None
    assert made.manifest.probe is not None
