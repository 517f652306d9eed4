"""An accepted fix goes to another release through the queue, and its evidence is run again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from judging_rules import MAINTAINER

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.assembly.hub import Hub
from clearhold.cases.material import CaseMaterial
from clearhold.cases.model import Role
from clearhold.kernel.errors import IntegrityError
from clearhold.kernel.ids import FindingId, VulnerabilityId
from clearhold.patches import answering, replaying
from clearhold.patches.backporting import LaboratoryPorter
from clearhold.patches.flows import Judging
from clearhold.patches.judge import LaboratoryJudge
from clearhold.patches.porting import PORT, Porting
from clearhold.patches.records import Origin, State
from clearhold.patches.service import JUDGE
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Recipe
from parcel_project import ESCAPES, FIX, PACKAGE, Registry, changed, parcel


@pytest.fixture
def project(
    laboratory: Laboratory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Laboratory, Recipe, Registry]:
    monkeypatch.setattr(answering, "MOST_MUTANTS", 2)  # fewer inputs than in earnest
    return parcel(laboratory, tmp_path, ["unpack"])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_fix_goes_to_an_older_release_and_its_evidence_is_run_again(
    hub: Hub,
    party_of: Callable[..., Actor],
    found: Callable[..., FindingId],
    project: tuple[Laboratory, Recipe, Registry],
) -> None:
    assert isinstance(hub.engine, MemoryEngine)
    own, recipe, registry = project
    judge = LaboratoryJudge(own, search_s=0)
    parts = (hub.sessions, hub.vault, CaseMaterial(hub.findings))
    hub.engine.register(JUDGE, Judging(*parts, judge, onward=True).judge)
    hub.engine.register(PORT, Porting(*parts, LaboratoryPorter(own, judge, registry, most=2)).run)
    coordinator = party_of(PartyKind.COORDINATOR)
    maintainer = party_of(PartyKind.MAINTAINER, MAINTAINER)
    first = found(party_of(PartyKind.LAB), ESCAPES, PACKAGE, "unpack")
    case = hub.cases.open(coordinator, VulnerabilityId(first), title="parcel", key="k").id
    hub.readers.read_in(
        coordinator, case, MAINTAINER, role=Role.VENDOR, tier=1, reason="its vendor"
    )
    sent = hub.patches.submit(
        maintainer, case, changed(FIX), origin=Origin.MAINTAINER, note="", key="1"
    )
    hub.engine.run_due()
    hub.patches.backport(maintainer, sent.id, ["1.1"])
    hub.engine.run_due()
    shown = hub.patches.get(maintainer, sent.id)
    assert shown.state is State.ACCEPTED, shown.judgement
    assert shown.judgement is not None
    facts = shown.judgement.facts
    assert facts["behaviour"]["that_leave_files"] == 1
    assert facts["tests"]["files_left_otherwise"] == ""
    assert [(each.version, each.outcome) for each in shown.backports] == [
        ("0.9", "adapted"),
        ("1.1", "already_fixed"),
    ]
    ported = shown.backports[0].judgement
    assert ported is not None
    assert (ported.kind, [each.stopped for each in ported.proofs]) == ("accepted", [True])

    evidence = hub.patches.backport_evidence(maintainer, sent.id, "0.9")
    recorded = replaying.read(evidence, key=None)
    assert recorded.diff == hub.patches.backported(maintainer, sent.id, "0.9")
    again = replaying.replay(own, recipe, recorded, {})
    assert (again.agrees, again.seen) == (True, "accepted"), again.differences

    facts = recorded.judgement.facts
    release = {**facts["release"], "sources": [{"origin": "none:x", "sha256": "0" * 64}]}
    forged = replace(
        recorded,
        judgement=type(recorded.judgement)(
            recorded.judgement.state,
            recorded.judgement.kind,
            "",
            facts={**facts, "release": release},
        ),
    )
    with pytest.raises(IntegrityError):
        replaying.replay(own, recipe, forged, {})
