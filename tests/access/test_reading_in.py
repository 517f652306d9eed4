"""Tiers mean something, some acts take two people, and whoever is recused sees nothing."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta
from typing import Any

import pytest
from access_scene import MESSAGE, PROOF, TITLE, Stage

from clearhold.access.approvals import Act
from clearhold.access.grants import Tier
from clearhold.access.permissions import PartyKind
from clearhold.cases.model import Role
from clearhold.kernel.errors import (
    ApprovalNeededError,
    ConflictError,
    DeniedError,
    InvalidError,
    NotFoundError,
)
from clearhold.kernel.ids import CaseId, PartyId, VulnerabilityId

HOUR = timedelta(hours=1)


def shown(stage: Stage, name: str, case: CaseId) -> Any:
    return stage.hub.cases.get(stage.actors[name], case)


def gone(stage: Stage, name: str, case: CaseId) -> bool:
    try:
        shown(stage, name, case)
    except NotFoundError:
        return True
    return False


def test_each_tier_shows_what_it_promises_and_no_more(stage: Stage, case: CaseId) -> None:
    hub, actors = stage.hub, stage.actors
    whole = shown(stage, "ada", case)
    first = whole.findings[0]
    assert (whole.tier, whole.title, len(whole.findings)) == (Tier.EVERYTHING, TITLE, 2)
    assert PROOF in hub.findings.proof(actors["ada"], first)
    assert b"boundless" in hub.findings.raw(
        actors["ada"], hub.findings.get(actors["ada"], first).head.submission
    )

    content = shown(stage, "maintainer", case)
    assert (content.tier, content.title, len(content.findings)) == (Tier.CONTENT, TITLE, 2)
    assert hub.findings.get(actors["maintainer"], first).body is not None
    assert hub.cases.messages(actors["maintainer"], case)[0].body == MESSAGE
    with pytest.raises(NotFoundError):
        hub.findings.proof(actors["maintainer"], first)
    submission = hub.findings.get(actors["maintainer"], first).head.submission
    for read in (hub.findings.raw, hub.findings.receipt):
        with pytest.raises(NotFoundError):
            read(actors["maintainer"], submission)

    fix = shown(stage, "water", case)
    assert (fix.tier, fix.title, fix.findings, fix.vulnerability) == (Tier.FIX, TITLE, (), None)
    notice = shown(stage, "bank", case)
    assert (notice.tier, notice.title, notice.status, notice.findings) == (
        Tier.NOTICE,
        None,
        None,
        (),
    )
    assert [(each.you, each.tier) for each in notice.participants] == [(True, 3)]
    for name in ("water", "bank"):
        for read in (
            lambda name=name: hub.cases.messages(actors[name], case),
            lambda name=name: hub.findings.get(actors[name], first),
            lambda name=name: hub.cases.say(actors[name], case, "hello", key="k"),
        ):
            with pytest.raises((NotFoundError, DeniedError)):
                read()


def test_a_notice_tells_when_and_nothing_of_what(stage: Stage, case: CaseId) -> None:
    until = stage.clock.now() + timedelta(days=30)
    hub, actors = stage.hub, stage.actors
    proposed = hub.embargoes.propose(actors["ada"], case, until=until, terms="quux stays quiet")
    assert proposed.proposal is not None
    hub.embargoes.accept(actors["maintainer"], case, proposed.proposal.id)
    told = shown(stage, "bank", case)
    assert told.publication_time == until
    everything = repr(told) + repr(hub.cases.list(actors["bank"]))
    everything += repr(hub.history(actors["bank"], after=0, limit=1000))
    for secret in ("quux", "Maintainer", "Lab", "Finder", TITLE):
        assert secret not in everything
    agreed = hub.embargoes.accept(actors["bank"], case, proposed.proposal.id)
    assert agreed.title is None
    with pytest.raises(NotFoundError):
        hub.embargoes.terminate(actors["bank"], case)


def test_lowering_a_tier_takes_the_findings_away(stage: Stage, case: CaseId) -> None:
    first = shown(stage, "ada", case).findings[0]
    stage.read_in(case, "maintainer", Role.VENDOR, 2)
    with pytest.raises(NotFoundError):
        stage.hub.findings.get(stage.actors["maintainer"], first)
    assert stage.hub.findings.list(stage.actors["maintainer"]) == ()
    assert {
        part.tier for part in shown(stage, "ada", case).participants if part.role is Role.VENDOR
    } == {2}


def test_reading_in_ends_when_it_was_meant_to(stage: Stage, case: CaseId) -> None:
    ends = stage.clock.now() + HOUR
    stage.read_in(case, "maintainer", Role.VENDOR, 1, expires_at=ends)
    third = stage.submit("lab", "Another")
    stage.same(third, shown(stage, "ada", case).findings[0])
    assert stage.hub.findings.get(stage.actors["maintainer"], third).body is not None
    stage.clock.advance(HOUR)
    assert gone(stage, "maintainer", case)
    assert stage.hub.findings.list(stage.actors["maintainer"]) == ()
    for wrong in (ends, ends.replace(tzinfo=None)):
        with pytest.raises(InvalidError):
            stage.read_in(case, "maintainer", Role.VENDOR, 1, expires_at=wrong)


def test_reading_out_ends_the_case_and_its_findings_at_once(stage: Stage, case: CaseId) -> None:
    handle = stage.handles["maintainer"]
    stage.hub.readers.read_out(stage.actors["ada"], case, handle)
    assert gone(stage, "maintainer", case)
    assert stage.hub.findings.list(stage.actors["maintainer"]) == ()
    assert stage.hub.patches.list(stage.actors["maintainer"], case) == ()
    for nobody in (handle, "nobody-here"):
        with pytest.raises(NotFoundError):
            stage.hub.readers.read_out(stage.actors["ada"], case, nobody)
    with pytest.raises(ConflictError):
        stage.hub.readers.read_out(stage.actors["ada"], case, "hub")


def test_everything_takes_a_second_person_and_so_do_raising_and_renewing(
    stage: Stage, case: CaseId
) -> None:
    ends = stage.clock.now() + HOUR

    def ask(**options: Any) -> None:
        stage.hub.readers.read_in(
            stage.actors["ada"],
            case,
            stage.handles["maintainer"],
            role=Role.VENDOR,
            tier=0,
            reason="judges fixes",
            **options,
        )

    with pytest.raises(ApprovalNeededError) as needed:
        ask(expires_at=ends)
    wanted = dict(needed.value.facts["particulars"])  # type: ignore[call-overload]
    assert wanted["expires"] == ends.isoformat()
    stage.approve(Act.READ_IN_TIER_0, case, wanted, "ada", "grace")
    with pytest.raises(ApprovalNeededError):
        ask()  # for longer than was approved
    ask(expires_at=ends)
    ask(expires_at=ends)  # what stands is not asked for twice
    reader = next(
        each
        for each in stage.hub.readers.list(stage.actors["ada"], case).readers
        if each.handle == stage.handles["maintainer"]
    )
    assert (reader.granted_by, reader.approved_by) == (
        stage.actors["ada"].principal,
        stage.actors["grace"].principal,
    )
    with pytest.raises(ApprovalNeededError):
        ask()
    stage.clock.advance(HOUR)
    with pytest.raises(ApprovalNeededError):
        ask(expires_at=ends + HOUR)


def test_who_is_read_in_is_told_to_the_coordinator_and_to_the_party_itself(
    stage: Stage, case: CaseId
) -> None:
    everybody = stage.hub.readers.list(stage.actors["ada"], case).readers
    assert {each.handle for each in everybody} == {
        "hub",
        *(stage.handles[name] for name in ("maintainer", "water", "bank")),
    }
    (mine,) = stage.hub.readers.list(stage.actors["bank"], case).readers
    assert (mine.handle, mine.tier, mine.reason) == (stage.handles["bank"], 3, "needs to know")
    assert stage.hub.readers.list(stage.actors["lab"], case).readers == ()


def test_who_recuses_themselves_is_barred_in_every_party_and_approves_nothing_of_the_case(
    stage: Stage, case: CaseId
) -> None:
    hub, actors = stage.hub, stage.actors
    stage.member("noor", "maintainer")
    assert shown(stage, "noor", case).title == TITLE
    hub.readers.recuse(actors["noor"], case, reason="knows the finder")
    assert gone(stage, "noor", case)
    assert hub.findings.list(actors["noor"]) == ()
    told = hub.history(actors["noor"], after=0, limit=1000)
    assert {leaf.compartment for leaf in told} <= {None}
    assert not gone(stage, "maintainer", case)
    third = stage.submit("lab", "Another")
    stage.same(third, shown(stage, "ada", case).findings[0])
    with pytest.raises(NotFoundError):
        hub.findings.get(actors["noor"], third)

    wanted = {"party": stage.handles["maintainer"], "tier": "0", "role": "vendor"}
    stage.approve(Act.READ_IN_TIER_0, case, wanted, "ada", "grace")
    hub.readers.recuse(actors["ada"], case, reason="worked there", person=actors["grace"].person)
    with pytest.raises(ApprovalNeededError):
        hub.readers.read_in(
            actors["ada"], case, wanted["party"], role=Role.VENDOR, tier=0, reason="r"
        )
    assert {each.reason for each in hub.readers.list(actors["ada"], case).recused} == {
        "knows the finder",
        "worked there",
    }


def test_a_finder_s_own_person_can_be_barred_from_their_finding(stage: Stage, case: CaseId) -> None:
    hub, actors = stage.hub, stage.actors
    stage.member("kim", "lab")
    (mine,) = shown(stage, "kim", case).findings
    submission = hub.findings.get(actors["kim"], mine).head.submission
    hub.readers.recuse(actors["ada"], case, reason="conflict", person=actors["kim"].person)
    for read in (
        lambda: shown(stage, "kim", case),
        lambda: hub.findings.get(actors["kim"], mine),
        lambda: hub.findings.raw(actors["kim"], submission),
    ):
        with pytest.raises(NotFoundError):
            read()
    assert hub.findings.proof(actors["lab"], mine)


def test_nobody_recuses_somebody_else_but_a_coordinator_of_the_case(
    stage: Stage, case: CaseId
) -> None:
    hub, actors = stage.hub, stage.actors
    with pytest.raises(DeniedError):
        hub.readers.recuse(actors["maintainer"], case, reason="r", person=actors["ada"].person)
    with pytest.raises(DeniedError):
        hub.readers.recuse(actors["lab"], case, reason="r")
    with pytest.raises(NotFoundError):
        hub.readers.recuse(actors["linus"], case, reason="r")


def test_no_account_of_a_coordinator_sees_counts_or_infers_a_case_it_was_not_read_in_to(
    stage: Stage, case: CaseId
) -> None:
    hub, linus = stage.hub, stage.actors["linus"]
    finding = shown(stage, "ada", case).findings[0]
    assert hub.cases.list(linus) == ((), "")
    assert hub.findings.list(linus) == ()
    assert hub.patches.list(linus, case) == ()
    assert hub.advisories.list(linus) == ()
    told = hub.history(linus, after=0, limit=1000)
    assert {leaf.compartment for leaf in told} <= {None}
    assert case not in {leaf.subject for leaf in told}
    assert gone(stage, "linus", case)
    for read in (
        lambda: hub.findings.get(linus, finding),
        lambda: hub.findings.proof(linus, finding),
        lambda: hub.validation.of_finding(linus, finding),
        lambda: hub.readers.list(linus, case),
        lambda: hub.exports.export(linus, case),
        lambda: hub.cases.messages(linus, case),
    ):
        with pytest.raises(NotFoundError):
            read()
    (entry,) = hub.findings.queue(linus)
    assert (entry.case, entry.findings, entry.independent_finders, entry.first_received_at) == (
        case,
        None,
        None,
        None,
    )
    stage.read_in(case, "linus", Role.COORDINATOR, 2, member=linus.principal)
    assert hub.findings.queue(linus)[0].findings is None
    stage.read_in(case, "linus", Role.COORDINATOR, 1, member=linus.principal)
    assert hub.findings.queue(linus)[0].findings == 2


def test_broken_glass_shows_content_for_an_hour_and_everyone_that_it_was_broken(
    stage: Stage, case: CaseId
) -> None:
    hub, actors = stage.hub, stage.actors
    for unknown in (case, CaseId("no-such-case")):
        with pytest.raises(ApprovalNeededError) as needed:
            hub.readers.break_glass(actors["linus"], unknown, reason="Ada is away")
        assert needed.value.facts == {
            "act": "break-glass",
            "subject": unknown,
            "particulars": {"member": actors["linus"].principal},
        }
    stage.approve(
        Act.BREAK_GLASS, case, {"member": stage.actors["linus"].principal}, "linus", "grace"
    )
    looked = hub.readers.break_glass(actors["linus"], case, reason="Ada is away")
    assert (looked.tier, looked.title) == (Tier.CONTENT, TITLE)
    finding = looked.findings[0]
    assert hub.findings.get(actors["linus"], finding).body is not None
    with pytest.raises(NotFoundError):
        hub.findings.proof(actors["linus"], finding)
    for name in ("ada", "maintainer", "lab", "finder", "water", "bank"):
        (glass,) = shown(stage, name, case).broken_glass
        assert (glass.reason, glass.ends_at) == ("Ada is away", stage.clock.now() + HOUR)
        told = [leaf.action for leaf in hub.history(actors[name], after=0, limit=1000)]
        assert "access:glass:break" in told, name
    stage.clock.advance(HOUR)
    assert gone(stage, "linus", case)
    assert hub.findings.list(actors["linus"]) == ()
    assert len(shown(stage, "ada", case).broken_glass) == 1
    with pytest.raises(ApprovalNeededError):
        hub.readers.break_glass(actors["linus"], case, reason="once more")


def test_broken_glass_decides_about_nobody_without_another_approval(
    stage: Stage, case: CaseId
) -> None:
    hub, linus = stage.hub, stage.actors["linus"]
    stage.approve(
        Act.BREAK_GLASS, case, {"member": stage.actors["linus"].principal}, "linus", "grace"
    )
    hub.readers.break_glass(linus, case, reason="Ada is away")
    with pytest.raises(ConflictError):
        hub.readers.read_out(linus, case, stage.handles["bank"])
    with pytest.raises(ConflictError):
        hub.readers.recuse(linus, case, reason="r", person=stage.actors["ada"].person)

    def stay() -> None:
        hub.readers.read_in(
            linus,
            case,
            "hub",
            role=Role.COORDINATOR,
            tier=1,
            reason="takes over",
            member=linus.principal,
        )

    with pytest.raises(ApprovalNeededError) as needed:
        stay()
    assert needed.value.facts["act"] == "take-over-case"
    stage.approve(Act.TAKE_OVER_CASE, case, needed.value.facts["particulars"], "linus", "grace")  # type: ignore[arg-type]
    stay()
    stage.clock.advance(HOUR)
    assert shown(stage, "linus", case).title == TITLE


def test_who_is_recused_breaks_no_glass_and_helps_nobody_break_it(
    stage: Stage, case: CaseId
) -> None:
    hub, actors = stage.hub, stage.actors
    stage.approve(
        Act.BREAK_GLASS, case, {"member": stage.actors["linus"].principal}, "linus", "grace"
    )
    hub.readers.recuse(actors["ada"], case, reason="r", person=actors["grace"].person)
    for name in ("linus", "grace"):
        with pytest.raises(ApprovalNeededError):
            hub.readers.break_glass(actors[name], case, reason="Ada is away")


def test_an_export_takes_two_people_and_holds_what_its_coordinator_sees(
    stage: Stage, case: CaseId
) -> None:
    hub, actors = stage.hub, stage.actors
    with pytest.raises(ApprovalNeededError):
        hub.exports.export(actors["ada"], case)
    stage.approve(Act.EXPORT_CASE, case, {}, "ada", "grace")
    archive = zipfile.ZipFile(io.BytesIO(hub.exports.export(actors["ada"], case)))
    names = archive.namelist()
    assert names == sorted(names)
    assert json.loads(archive.read("case.json"))["title"] == TITLE
    assert json.loads(archive.read("messages.json"))[0]["body"] == MESSAGE
    proofs = [name for name in names if name.endswith("/proof")]
    assert len(proofs) == 2
    assert all(archive.read(name).startswith(PROOF) for name in proofs)
    assert len([name for name in names if name.endswith("/submission")]) == 2
    assert "cases:case:export" in {
        leaf["action"] for leaf in json.loads(archive.read("ledger.json"))
    }
    with pytest.raises(ApprovalNeededError):
        hub.exports.export(actors["ada"], case)

    stage.read_in(case, "linus", Role.COORDINATOR, 1, member=actors["linus"].principal)
    stage.approve(Act.EXPORT_CASE, case, {}, "linus", "grace")
    less = zipfile.ZipFile(io.BytesIO(hub.exports.export(actors["linus"], case)))
    assert not [name for name in less.namelist() if name.endswith(("/proof", "/submission"))]
    with pytest.raises((ConflictError, DeniedError)):
        hub.exports.export(actors["maintainer"], case)


def test_a_page_of_cases_begins_where_the_last_ended_and_its_cursor_is_nobody_else_s(
    stage: Stage,
) -> None:
    stage.party("lab", PartyKind.LAB)
    opened = [stage.open("ada", stage.submit("lab", f"Flaw {n}")) for n in range(5)]
    hub, ada = stage.hub, stage.actors["ada"]
    seen, cursor = [], ""
    while True:
        page, cursor = hub.cases.list(ada, cursor=cursor, limit=2)
        seen += [each.id for each in page]
        if not cursor:
            break
    assert seen == opened[::-1]
    _, cursor = hub.cases.list(ada, limit=2)
    answers = set()
    for who, text in (
        ("linus", cursor),
        ("linus", "made-up"),
        ("lab", cursor),
        ("ada", cursor[:-2]),
    ):
        with pytest.raises(InvalidError) as refused:
            hub.cases.list(stage.actors[who], cursor=text)
        answers.add((refused.value.message, refused.value.next_step))
    assert len(answers) == 1


def test_who_approved_a_look_does_not_take_it_themselves(stage: Stage, case: CaseId) -> None:
    whose = {"member": stage.actors["linus"].principal}
    stage.approve(Act.BREAK_GLASS, case, whose, "linus", "grace")
    with pytest.raises(ApprovalNeededError):
        stage.hub.readers.break_glass(stage.actors["grace"], case, reason="curious")
    assert stage.hub.readers.break_glass(stage.actors["linus"], case, reason="Ada is away")


def test_the_account_that_coordinators_share_opens_and_enters_no_case(
    stage: Stage, case: CaseId
) -> None:
    ada = stage.actors["ada"]
    token = stage.hub.parties.issue_token(ada, PartyId(ada.party), life=timedelta(days=1))
    shared = stage.hub.authenticate(token.secret)
    finding = stage.submit("lab", "Another")
    with pytest.raises(DeniedError):
        stage.hub.cases.open(shared, VulnerabilityId(finding), title="T", key="k")
    with pytest.raises(InvalidError):
        stage.read_in(case, "ada", Role.COORDINATOR, 1, member=shared.principal)
    with pytest.raises(NotFoundError):
        stage.hub.cases.get(shared, case)


def test_whoever_mends_is_read_in_as_that_and_reached_as_it_wishes(
    stage: Stage, case: CaseId
) -> None:
    stage.party("mender", PartyKind.MAINTAINER)
    with pytest.raises(InvalidError):
        stage.read_in(case, "mender", Role.OTHER, 1)
