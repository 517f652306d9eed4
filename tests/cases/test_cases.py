"""A case shows each participant what it may see, and moves only as the protocol allows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest
from case_scene import MAINTAINER, SECRETS, Scene
from sqlalchemy import Engine

from clearhold.access.grants import Grantee, read_out
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.cases import progress
from clearhold.cases.model import EmbargoState, ReportState, ReportStep, Role
from clearhold.findings.model import State
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    DeniedError,
    InvalidError,
    NotFoundError,
)
from clearhold.kernel.ids import CaseId, FindingId, VulnerabilityId
from clearhold.store.schema import metadata


def actions(hub: Hub, actor: Actor) -> list[str]:
    return [leaf.action for leaf in hub.history(actor, after=0, limit=1000)]


def test_a_case_needs_a_reproduced_finding(
    hub: Hub, party_of: Callable[..., Actor], submit: Callable[..., FindingId]
) -> None:
    finding = submit(party_of(PartyKind.LAB))
    with pytest.raises(ConflictError, match="reproduced"):
        hub.cases.open(
            party_of(PartyKind.COORDINATOR), VulnerabilityId(finding), title="T", key="k"
        )


@pytest.mark.parametrize("level", [0, 1, 2, 3, 4])
def test_a_case_and_with_it_embargo_and_read_in_need_level_two(
    hub: Hub, party_of: Callable[..., Actor], submit: Callable[..., FindingId], level: int
) -> None:
    finding = submit(party_of(PartyKind.LAB))
    with hub.sessions.transaction() as unit:
        hub.findings.set_verdict(
            unit, finding, state=State.REPRODUCED, verdict="reproduced", level=level
        )
    coordinator, vulnerability = party_of(PartyKind.COORDINATOR), VulnerabilityId(finding)
    if level < 2:
        with pytest.raises(ConflictError, match="reproduced"):
            hub.cases.open(coordinator, vulnerability, title="T", key="k")
        assert hub.cases.list(coordinator) == ((), "")
    else:
        assert hub.cases.open(coordinator, vulnerability, title="T", key="k").findings == (finding,)


def test_a_vulnerability_has_one_case_and_the_same_request_returns_it(scene: Scene) -> None:
    first, second = scene.findings
    again = scene.hub.cases.open(
        scene.coordinator, VulnerabilityId(first), title="Overflow-in-quux", key="k1"
    )
    assert again.id == scene.case
    assert again.findings == (first, second)
    with pytest.raises(ConflictError, match="key"):
        scene.hub.cases.open(scene.coordinator, VulnerabilityId(first), title="Other", key="k1")
    with pytest.raises(ConflictError, match="has a case"):
        scene.hub.cases.open(scene.coordinator, VulnerabilityId(second), title="Other", key="k2")
    with pytest.raises(NotFoundError):
        scene.hub.cases.open(scene.coordinator, VulnerabilityId("x"), title="Other", key="k3")


def test_of_two_who_open_one_vulnerability_one_wins(
    hub: Hub,
    party_of: Callable[..., Actor],
    submit: Callable[..., FindingId],
    reproduced: Callable[[FindingId], None],
) -> None:
    finding = submit(party_of(PartyKind.LAB))
    reproduced(finding)
    coordinators = [party_of(PartyKind.COORDINATOR) for _ in range(2)]
    outcomes: list[str] = []

    def race(actor: Actor) -> None:
        try:
            hub.cases.open(actor, VulnerabilityId(finding), title="T", key="k")
            outcomes.append("opened")
        except ConflictError:
            outcomes.append("refused")

    threads = [threading.Thread(target=race, args=(each,)) for each in coordinators]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["opened", "refused"]


def test_only_who_may_opens_and_reads_in(scene: Scene) -> None:
    for actor in (scene.lab, scene.maintainer):
        with pytest.raises(DeniedError):
            scene.hub.cases.open(actor, VulnerabilityId(scene.findings[0]), title="T", key="k")
        with pytest.raises(DeniedError):
            scene.hub.readers.read_in(
                actor, scene.case, MAINTAINER, role=Role.VENDOR, tier=0, reason="r"
            )


def test_to_an_outsider_a_case_is_as_if_it_were_not_there(
    scene: Scene, party_of: Callable[..., Actor]
) -> None:
    for outsider in (scene.stranger, scene.maintainer, party_of(PartyKind.COORDINATOR)):
        answers = []
        for identity in (scene.case, CaseId("no-such-case")):
            with pytest.raises(NotFoundError) as refused:
                scene.hub.cases.get(outsider, identity)
            answers.append((refused.value.message, refused.value.next_step, refused.value.facts))
        assert answers[0] == answers[1]
        assert scene.hub.cases.list(outsider) == ((), "")
        for act in (
            lambda who: scene.hub.cases.say(who, scene.case, "hello", key="k"),
            lambda who: scene.hub.cases.messages(who, scene.case),
            lambda who: scene.hub.cases.report_status(who, scene.case, "P"),
            lambda who: scene.hub.cases.step(who, scene.case, ReportStep.ACCEPT),
            lambda who: scene.hub.embargoes.terminate(who, scene.case),
        ):
            with pytest.raises(NotFoundError):
                act(outsider)


def test_a_finder_learns_neither_who_else_found_it_nor_what_they_sent(scene: Scene) -> None:
    scene.read_in_maintainer()
    scene.hub.cases.say(scene.finder, scene.case, "Found by fuzzing.", key="m")
    first, second = scene.findings
    shown = scene.hub.cases.get(scene.lab, scene.case)
    assert shown.findings == (first,)
    assert [
        part.name for part in shown.participants if part.role is Role.FINDER and not part.you
    ] == ["another finder"]
    seen = repr(asdict(shown)) + repr(scene.hub.cases.messages(scene.lab, scene.case))
    seen += repr(scene.hub.history(scene.lab, after=0, limit=1000))
    assert "Finder-Two" not in seen
    assert scene.finder.party not in seen
    assert scene.finder.principal not in seen
    with pytest.raises(NotFoundError):
        scene.hub.findings.get(scene.lab, second)


def test_a_maintainer_read_in_sees_the_case_and_every_linked_finding(scene: Scene) -> None:
    scene.read_in_maintainer()
    shown = scene.hub.cases.get(scene.maintainer, scene.case)
    assert shown.title == "Overflow-in-quux"
    assert shown.findings == scene.findings
    assert {part.name for part in shown.participants} >= {"Lab-One", "Finder-Two"}
    for finding in scene.findings:
        body = scene.hub.findings.get(scene.maintainer, finding).body
        assert body is not None
        assert body.description == "A boundless copy."
    assert "access:compartment:read-in" in actions(scene.hub, scene.lab)


def test_reading_a_party_out_ends_what_it_sees(scene: Scene) -> None:
    scene.read_in_maintainer()
    with scene.hub.sessions.transaction() as unit:
        within = progress.current(unit, scene.case).compartment
        read_out(unit, within, Grantee(scene.maintainer.party), by="test")
    with pytest.raises(NotFoundError):
        scene.hub.cases.get(scene.maintainer, scene.case)
    assert scene.hub.cases.list(scene.maintainer) == ((), "")


def test_a_deployer_sees_the_case_and_no_finding(
    scene: Scene, party_of: Callable[..., Actor]
) -> None:
    water = party_of(PartyKind.OPERATOR, "water")
    scene.hub.readers.read_in(
        scene.coordinator, scene.case, "water", role=Role.DEPLOYER, tier=2, reason="runs it widely"
    )
    shown = scene.hub.cases.get(water, scene.case)
    assert shown.findings == ()
    assert "Lab-One" not in {part.name for part in shown.participants}
    with pytest.raises(ConflictError, match="before F"):
        scene.hub.cases.report_status(water, scene.case, "D")


NO_READERS: list[tuple[str, dict[str, Any], type[ClearholdError]]] = [
    ("nobody-here", {"role": Role.VENDOR, "tier": 0, "reason": "r"}, NotFoundError),
    ("lab-one", {"role": Role.VENDOR, "tier": 0, "reason": "r"}, InvalidError),
    ("someone-else", {"role": Role.FINDER, "tier": 0, "reason": "r"}, InvalidError),
    ("someone-else", {"role": Role.VENDOR, "tier": 4, "reason": "r"}, InvalidError),
    ("someone-else", {"role": Role.VENDOR, "tier": 0, "reason": ""}, InvalidError),
    ("someone-else", {"role": Role.VENDOR, "tier": 0, "reason": "a\x1b[2Jb"}, InvalidError),
    ("lab-one", {"role": Role.OTHER, "tier": 0, "reason": "r"}, ConflictError),
]


def test_who_cannot_be_read_in_is_refused_with_what_to_do(
    scene: Scene, subtests: pytest.Subtests
) -> None:
    for handle, wanted, error in NO_READERS:
        with subtests.test(handle=handle):
            with pytest.raises(error) as refused:
                scene.hub.readers.read_in(scene.coordinator, scene.case, handle, **wanted)
            assert refused.value.next_step


def test_a_finding_that_joins_the_vulnerability_later_joins_the_case(
    scene: Scene,
    party_of: Callable[..., Actor],
    submit: Callable[..., FindingId],
    reproduced: Callable[[FindingId], None],
    same: Callable[[FindingId, FindingId], None],
) -> None:
    scene.read_in_maintainer()
    third_lab = party_of(PartyKind.LAB, "lab-three")
    third = submit(third_lab)
    with pytest.raises(NotFoundError):
        scene.hub.findings.get(scene.maintainer, third)
    reproduced(third)
    same(third, scene.findings[1])
    assert scene.hub.cases.get(scene.maintainer, scene.case).findings == (*scene.findings, third)
    assert scene.hub.findings.get(scene.maintainer, third).head.case == scene.case
    assert scene.hub.cases.get(third_lab, scene.case).findings == (third,)


def test_an_unproven_finding_does_not_bring_its_sender_into_the_case(
    scene: Scene,
    party_of: Callable[..., Actor],
    submit: Callable[..., FindingId],
    same: Callable[[FindingId, FindingId], None],
) -> None:
    copycat = party_of(PartyKind.FINDER)
    same(submit(copycat), scene.findings[0])
    assert scene.hub.cases.list(copycat) == ((), "")


def test_each_participant_speaks_for_itself_alone(scene: Scene) -> None:
    scene.read_in_maintainer()
    with pytest.raises(ConflictError) as blocked:
        scene.hub.cases.step(scene.maintainer, scene.case, ReportStep.ACCEPT)
    assert blocked.value.facts["possible"] == ["validate", "invalidate"]
    scene.hub.cases.step(scene.maintainer, scene.case, ReportStep.VALIDATE)
    shown = scene.hub.cases.step(scene.maintainer, scene.case, ReportStep.ACCEPT)
    assert shown.report is ReportState.ACCEPTED
    assert scene.hub.cases.get(scene.coordinator, scene.case).report is ReportState.ACCEPTED


def test_a_vendor_reports_a_fix_only_after_accepting_the_report(scene: Scene) -> None:
    scene.read_in_maintainer()
    with pytest.raises(ConflictError, match="received"):
        scene.hub.cases.report_status(scene.maintainer, scene.case, "F")
    scene.hub.cases.step(scene.maintainer, scene.case, ReportStep.VALIDATE)
    scene.hub.cases.step(scene.maintainer, scene.case, ReportStep.ACCEPT)
    with pytest.raises(ConflictError, match="before F"):
        scene.hub.cases.report_status(scene.maintainer, scene.case, "D")
    assert scene.hub.cases.report_status(scene.maintainer, scene.case, "F").status == "VFdpxa"
    assert scene.hub.cases.report_status(scene.maintainer, scene.case, "F").status == "VFdpxa"
    with pytest.raises(InvalidError):
        scene.hub.cases.report_status(scene.lab, scene.case, "F")


def test_a_proved_fix_counts_for_a_vendor_once_it_accepts_the_report(scene: Scene) -> None:
    scene.read_in_maintainer()
    with scene.hub.sessions.transaction() as unit:
        progress.mark(unit, scene.case, "F", by="test")
        progress.mark(unit, scene.case, "F", by="test")
    scene.hub.cases.step(scene.maintainer, scene.case, ReportStep.VALIDATE)
    assert scene.hub.cases.get(scene.coordinator, scene.case).status == "Vfdpxa"
    shown = scene.hub.cases.step(scene.maintainer, scene.case, ReportStep.ACCEPT)
    assert shown.status == "VFdpxa"
    assert shown.fix_proved_at is not None


def test_the_hub_marks_only_what_it_can_know(scene: Scene) -> None:
    with scene.hub.sessions.transaction() as unit:
        for letter in ("V", "D"):
            with pytest.raises(InvalidError):
                progress.mark(unit, scene.case, letter, by="test")
        with pytest.raises(NotFoundError):
            progress.mark(unit, CaseId("none"), "P", by="test")


def test_messages_reach_everyone_in_the_case_once(scene: Scene) -> None:
    scene.hub.cases.say(scene.lab, scene.case, "See the second overflow too.", key="m1")
    scene.hub.cases.say(scene.lab, scene.case, "See the second overflow too.", key="m1")
    with pytest.raises(ConflictError):
        scene.hub.cases.say(scene.lab, scene.case, "Another text.", key="m1")
    for reader in (scene.coordinator, scene.finder):
        told = scene.hub.cases.messages(reader, scene.case)
        assert [each.body for each in told] == ["See the second overflow too."]
    assert scene.hub.cases.messages(scene.finder, scene.case)[0].written_by == "another finder"
    assert scene.hub.cases.messages(scene.coordinator, scene.case)[0].written_by == "Lab-One"


@pytest.mark.parametrize("text", ["", " \n", "x" * 20_001])
def test_a_message_without_or_with_too_much_text_is_refused(scene: Scene, text: str) -> None:
    with pytest.raises(InvalidError):
        scene.hub.cases.say(scene.lab, scene.case, text, key="m")


def test_a_closed_case_changes_no_more(scene: Scene) -> None:
    closed = scene.hub.cases.close(scene.coordinator, scene.case)
    assert closed.closed_at is not None
    assert scene.hub.cases.close(scene.coordinator, scene.case).closed_at == closed.closed_at
    for act in (
        lambda: scene.hub.cases.say(scene.lab, scene.case, "late", key="m"),
        lambda: scene.hub.cases.report_status(scene.lab, scene.case, "A"),
        scene.read_in_maintainer,
    ):
        with pytest.raises(ConflictError, match="closed"):
            act()
    assert scene.hub.cases.get(scene.lab, scene.case).title == "Overflow-in-quux"


def test_a_case_under_embargo_is_not_closed(scene: Scene) -> None:
    with scene.hub.sessions.transaction() as unit:
        until = unit.now + timedelta(days=30)
    scene.agree_embargo(until)
    with pytest.raises(ConflictError, match="embargo"):
        scene.hub.cases.close(scene.coordinator, scene.case)
    scene.hub.embargoes.terminate(scene.coordinator, scene.case)
    closed = scene.hub.cases.close(scene.coordinator, scene.case)
    assert closed.embargo_state is EmbargoState.EXITED


def test_every_title_shown_is_released_in_the_ledger(scene: Scene) -> None:
    before = actions(scene.hub, scene.coordinator).count("vault:plaintext:release")
    scene.hub.cases.get(scene.lab, scene.case)
    after = actions(scene.hub, scene.coordinator).count("vault:plaintext:release")
    assert after == before + 1


def test_a_stolen_database_tells_nothing_of_a_case(scene: Scene, database: Engine) -> None:
    scene.hub.cases.say(scene.lab, scene.case, "the boundless copy is in quuxlib", key="m")
    with database.connect() as connection:
        rows = [
            repr(row)
            for table in metadata.sorted_tables
            for row in connection.execute(table.select())
        ]
    everything = "\n".join(rows).lower()
    assert scene.case in everything
    for secret in SECRETS:
        assert secret.lower() not in everything
