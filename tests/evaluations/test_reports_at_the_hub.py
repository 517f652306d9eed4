"""The developer has the draft in time and a reply that counts; what is issued is what was sent and said."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from desk_scene import DAY, HOUR, Desk
from report_examples import report
from trial_examples import drawn, plan

from clearhold.assembly.keys import log_signer
from clearhold.evaluations.engagements import EngagementView
from clearhold.evaluations.model import Act, AgreementState, EngagementState
from clearhold.evaluations.plan import Completeness
from clearhold.evaluations.reporting import closing, document, drafting, signed
from clearhold.evaluations.reporting.document import Section, Written
from clearhold.evaluations.trials import RecordedRun
from clearhold.kernel.errors import (
    ConflictError,
    DeniedError,
    IntegrityError,
    InvalidError,
    NotFoundError,
)
from clearhold.ledger import bundle
from clearhold.settings import Settings

SECTIONS = (Section(title="Summary", text="It solved some, with a credential of hunter2."),)


def planned(engagement: str) -> str:
    return plan(engagement=engagement).sha256


def run_of(view: EngagementView, seed: int = 0) -> RecordedRun:
    return drawn(plan(engagement=view.stored.id), {"bare": 0.4, "coached": 0.7}, seed=seed)


def drafted(desk: Desk, view: EngagementView, **changed: Any) -> Written:
    facts = desk.hub.models.reports.facts(desk.testers, view.stored.id)
    assert facts.access is not None
    known = plan(engagement=view.stored.id)
    made = drafting.draft(
        facts.tested,
        facts.access,
        known,
        run_of(view),
        {},
        sections=SECTIONS,
        plan_sha256=facts.plan_sha256,
        beside=facts.beside,
        ended=False,
        at=desk.now(),
    )
    return document.write(msgspec.structs.replace(made.report, **changed)) if changed else made


def sent(desk: Desk, **terms: Any) -> tuple[EngagementView, Written]:
    view = desk.testing(planned=planned, **terms)
    draft = drafted(desk, view)
    desk.hub.models.reports.send(desk.testers, view.stored.id, draft.content)
    return view, draft


def finished(desk: Desk, draft: Written, reply: document.Reply) -> tuple[bytes, bytes]:
    removal = closing.Removal(0, "hunter2", "developer", "a credential of ours")
    final, _ = closing.close(draft, draft.report, reply, [removal], {}, at=desk.now())
    return final.content, signed.sign(final, desk.keys[desk.testers.party])


def test_a_draft_a_reply_and_a_signed_report(desk: Desk) -> None:
    reports = desk.hub.models.reports
    view, draft = sent(desk)
    engagement = view.stored.id
    assert reports.send(desk.testers, engagement, draft.content).content == draft.content
    [plan_paper, draft_paper] = reports.papers(desk.lab, engagement)
    assert (plan_paper.kind, draft_paper.kind) == ("plan", "draft")
    assert reports.paper(desk.lab, draft_paper.id).content == draft.content
    with pytest.raises(DeniedError):
        reports.reply(desk.testers, engagement, "We are the evaluator.")
    reports.reply(desk.lab, engagement, "We disagree.")
    with pytest.raises(ConflictError):
        reports.reply(desk.lab, engagement, "We disagree even more.")
    for wrong in (closing.reply_of("waived"), closing.reply_of("replied", "We agree.")):
        with pytest.raises(InvalidError, match="reply"):
            reports.issue(desk.testers, engagement, *finished(desk, draft, wrong))
    content, envelope = finished(desk, draft, closing.reply_of("replied", "We disagree."))
    theirs = signed.sign(document.read(content), desk.keys[desk.lab.party])
    with pytest.raises(InvalidError, match="No registered key"):
        reports.issue(desk.testers, engagement, content, theirs)
    with pytest.raises(DeniedError):
        reports.issue(desk.lab, engagement, content, theirs)
    reports.issue(desk.testers, engagement, content, envelope)
    again = reports.issue(desk.testers, engagement, content, envelope)
    found = reports.final(desk.lab, engagement)
    assert found.packed == again.packed
    assert found.leaf is not None
    got = desk.hub.models.engagements.get(desk.lab, engagement)
    assert got.stored.state is EngagementState.FINAL_ISSUED
    key = desk.keys[desk.testers.party].public_key()
    assert signed.verify(found.packed, {"theirs": key}).written.content == content
    for stranger in desk.strangers:
        for tried in (
            lambda who=stranger: reports.facts(who, engagement),
            lambda who=stranger: reports.papers(who, engagement),
            lambda who=stranger: reports.paper(who, draft_paper.id),
            lambda who=stranger: reports.final(who, engagement),
            lambda who=stranger: reports.reply(who, engagement, "x"),
        ):
            with pytest.raises(NotFoundError):
                tried()


def test_the_log_proves_a_report_offline(desk: Desk, tmp_path: Path) -> None:
    reports, hub = desk.hub.models.reports, desk.hub
    view, draft = sent(desk)
    reports.reply(desk.lab, view.stored.id, "We disagree.")
    reply = closing.reply_of("replied", "We disagree.")
    reports.issue(desk.testers, view.stored.id, *finished(desk, draft, reply))
    found = reports.final(desk.lab, view.stored.id)
    assert found.leaf is not None
    hub.sequencer.integrate()
    assert hub.sequencer.publish(desk.now())
    inclusion = bundle.write(hub.ledger.prove(desk.lab, found.leaf))
    packed = signed.with_proof(found.packed, inclusion)
    keys = {"theirs": desk.keys[desk.testers.party].public_key()}
    settings = Settings(data_directory=tmp_path / "data", key_directory=tmp_path / "keys")
    log = log_signer(settings).verifier
    assert signed.verify(packed, keys, log).logged_at
    with pytest.raises(IntegrityError, match="no proof"):
        signed.verify(found.packed, keys, log)
    other = bundle.write(hub.ledger.prove(desk.lab, found.leaf - 1))
    with pytest.raises(IntegrityError, match="another report"):
        signed.verify(signed.with_proof(found.packed, other), keys, log)


def test_a_reply_ends_with_its_time_and_the_report_says_so(desk: Desk, clock: Any) -> None:
    reports = desk.hub.models.reports
    view, draft = sent(desk, reply_days=3)
    elapsed = finished(desk, draft, closing.reply_of("elapsed"))
    with pytest.raises(ConflictError):
        reports.issue(desk.testers, view.stored.id, *elapsed)
    clock.advance(3 * DAY)
    got = desk.hub.models.engagements.get(desk.lab, view.stored.id)
    assert got.stored.state is EngagementState.REPLY_ELAPSED
    with pytest.raises(ConflictError):
        reports.reply(desk.lab, view.stored.id, "Too late.")
    with pytest.raises(InvalidError, match="reply"):
        reports.issue(
            desk.testers, view.stored.id, *finished(desk, draft, closing.reply_of("waived"))
        )
    reports.issue(desk.testers, view.stored.id, *elapsed)
    happened = desk.hub.models.engagements.get(desk.lab, view.stored.id).happened
    assert [(each.act, each.side) for each in happened][-2:] == [
        ("let-reply-elapse", "clock"),
        ("issue", "evaluator"),
    ]


def test_a_reply_may_be_waived(desk: Desk) -> None:
    view, draft = sent(desk)
    desk.act(desk.lab, view, Act.WAIVE_REPLY)
    waived = finished(desk, draft, closing.reply_of("waived"))
    desk.hub.models.reports.issue(desk.testers, view.stored.id, *waived)


def test_a_late_draft_takes_both_signatures(desk: Desk, clock: Any) -> None:
    reports = desk.hub.models.reports
    view = desk.testing(planned=planned, draft_days=6)
    due = reports.facts(desk.lab, view.stored.id).draft_due
    assert view.clock.ends_at is not None
    assert due == view.clock.ends_at - 6 * DAY
    clock.advance(4 * DAY + timedelta(seconds=1))
    with pytest.raises(ConflictError, match="due"):
        reports.send(desk.testers, view.stored.id, drafted(desk, view).content)
    change = desk.change(view, "late-draft")
    desk.consent(desk.testers, view, change)
    with pytest.raises(ConflictError, match="due"):
        reports.send(desk.testers, view.stored.id, drafted(desk, view).content)
    desk.consent(desk.lab, view, change)
    reports.send(desk.testers, view.stored.id, drafted(desk, view).content)


def test_ending_access_early_does_not_move_the_time_for_the_draft(desk: Desk, clock: Any) -> None:
    view = desk.testing(planned=planned)
    before = desk.hub.models.reports.facts(desk.lab, view.stored.id)
    clock.advance(2 * HOUR)
    desk.act(desk.testers, view, Act.ANALYSE)
    after = desk.hub.models.reports.facts(desk.lab, view.stored.id)
    assert after.draft_due == before.draft_due
    clock.advance(3 * DAY)
    desk.hub.models.reports.send(desk.testers, view.stored.id, drafted(desk, view).content)


def test_no_draft_tells_of_anything_else_than_this_engagement(desk: Desk) -> None:
    reports = desk.hub.models.reports
    view = desk.testing(planned=planned)
    good = drafted(desk, view).report
    for changed in (
        {"tested": msgspec.structs.replace(good.tested, developer="rival")},
        {"tested": msgspec.structs.replace(good.tested, agreement_sha256="0" * 64)},
        {"tested": msgspec.structs.replace(good.tested, variants=("candidate", "other"))},
        {"access": msgspec.structs.replace(good.access, ends_at=good.access.ends_at + DAY)},
        {"access": msgspec.structs.replace(good.access, spent_s=10**6)},
        {"made_at": desk.now() + DAY},
    ):
        with pytest.raises(InvalidError):
            reports.send(desk.testers, view.stored.id, drafted(desk, view, **changed).content)
    other = report(plan(engagement=view.stored.id, seed=99), tested=good.tested, access=good.access)
    other = msgspec.structs.replace(other, made_at=desk.now())
    with pytest.raises(InvalidError, match="another plan"):
        reports.send(desk.testers, view.stored.id, document.write(other).content)
    early = msgspec.structs.replace(
        good.results, completeness=Completeness.ENDED_EARLY, done=good.results.done - 1
    )
    with pytest.raises(ConflictError, match="still open"):
        reports.send(desk.testers, view.stored.id, drafted(desk, view, results=early).content)
    short = msgspec.structs.replace(good.results, done=good.results.done - 1)
    with pytest.raises(InvalidError, match="counts fewer"):
        reports.send(desk.testers, view.stored.id, drafted(desk, view, results=short).content)
    with pytest.raises(ConflictError, match="to be read"):
        desk.act(desk.testers, view, Act.SEND_DRAFT)


def test_a_plan_is_registered_before_access_begins_or_never(desk: Desk) -> None:
    reports = desk.hub.models.reports
    view = desk.testing()
    with pytest.raises(ConflictError, match="before access"):
        reports.plan(desk.testers, view.stored.id, "0" * 64)
    known = plan(engagement=view.stored.id)
    facts = reports.facts(desk.testers, view.stored.id)
    assert facts.access is not None
    made = report(known, tested=facts.tested, access=facts.access, made_at=desk.now())
    with pytest.raises(ConflictError, match="No plan"):
        reports.send(desk.testers, view.stored.id, document.write(made).content)
    with pytest.raises(DeniedError):
        reports.plan(desk.lab, view.stored.id, "0" * 64)


def test_a_suspension_stops_the_evaluator_and_not_the_reply(desk: Desk) -> None:
    reports, register = desk.hub.models.reports, desk.hub.models.agreements
    view, draft = sent(desk)
    register.move(desk.testers, view.agreement.id, AgreementState.SUSPENDED)
    reports.reply(desk.lab, view.stored.id, "We disagree.")
    final = finished(desk, draft, closing.reply_of("replied", "We disagree."))
    with pytest.raises(ConflictError, match="not in force"):
        reports.issue(desk.testers, view.stored.id, *final)
    register.move(desk.testers, view.agreement.id, AgreementState.IN_FORCE)
    reports.issue(desk.testers, view.stored.id, *final)
