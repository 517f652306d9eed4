"""A fix is judged by every proof of its case, once, and delivered when somebody stands behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from judging_rules import FIX, HIDES_ONE, NEEDS_SANDBOX, Workbench, join
from sqlalchemy import Engine

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.cases.model import ReportStep
from clearhold.kernel.errors import (
    ConflictError,
    DeniedError,
    InvalidError,
    NotFoundError,
    TooLargeError,
)
from clearhold.kernel.ids import FindingId, PatchId
from clearhold.patches.judging import Delivery
from clearhold.patches.records import Origin, State
from clearhold.patches.service import JUDGE
from clearhold.ports.engine import AGAIN_AFTER
from clearhold.store.schema import metadata
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.vault.service import Vault


def delivered(bench: Workbench) -> Delivery | None:
    with bench.hub.sessions.transaction() as unit:
        return bench.hub.patches.delivery_of(unit, bench.case, reader="service:test")


def test_a_fix_that_stops_every_proof_is_accepted(bench: Workbench) -> None:
    shown = bench.judged(bench.maintainer, FIX)
    assert shown.state is State.ACCEPTED
    assert shown.judgement is not None
    assert [(each.finding, each.stopped) for each in shown.judgement.proofs] == [
        (finding, True) for finding in bench.findings
    ]
    assert shown.judgement.limits
    assert shown.judgement.tests == "12 passed before and after"


@pytest.mark.parametrize(
    ("diff", "levels"), [(FIX, {("reproduced", 3)}), (HIDES_ONE, {("reproduced(no fix yet)", 2)})]
)
def test_a_new_bug_lacks_only_the_fix_that_is_then_accepted(
    bench: Workbench, diff: bytes, levels: set[tuple[str, int]]
) -> None:
    findings = bench.hub.findings
    with bench.hub.sessions.transaction() as unit:
        for finding in bench.findings:
            findings.set_verdict(
                unit,
                finding,
                state=findings.head(unit, finding).state,
                verdict="reproduced(no fix yet)",
                level=2,
            )
    bench.judged(bench.maintainer, diff)
    with bench.hub.sessions.transaction() as unit:
        heads = [findings.head(unit, finding) for finding in bench.findings]
    assert {(head.verdict, head.level) for head in heads} == levels


def test_an_accepted_fix_raises_nothing_that_lacked_more_than_a_fix(bench: Workbench) -> None:
    findings, (first, second) = bench.hub.findings, bench.findings
    with bench.hub.sessions.transaction() as unit:
        state = findings.head(unit, first).state
        findings.set_verdict(unit, first, state=state, verdict="reproduced_flaky(14/20)", level=2)
    bench.judged(bench.maintainer, FIX)
    with bench.hub.sessions.transaction() as unit:
        assert findings.head(unit, first).level == 2
        assert findings.head(unit, second).level == 3


def test_a_fix_that_hides_one_proof_is_refused_with_the_reason(bench: Workbench) -> None:
    shown = bench.judged(bench.maintainer, HIDES_ONE)
    assert (shown.state, shown.deliverable, shown.adopted_at) == (State.REFUSED, False, None)
    assert shown.judgement is not None
    assert shown.judgement.reason == "A proof still works."
    assert [each.stopped for each in shown.judgement.proofs] == [True, False]
    assert delivered(bench) is None
    assert bench.hub.cases.get(bench.coordinator, bench.case).fix_proved_at is None


def test_the_judge_gets_the_cases_proofs_and_those_of_the_same_package_apart(
    bench: Workbench,
) -> None:
    bench.judged(bench.maintainer, FIX)
    (candidate,) = bench.judge.seen
    assert [each.proof for each in candidate.proofs] == [b"PROOF-ONE", b"PROOF-TWO"]
    assert [each.proof for each in candidate.others] == [b"PROOF-ELSEWHERE"]
    assert {each.target for each in candidate.proofs} == {"encode"}
    assert "PROOF" not in repr(candidate)


def test_a_vendors_accepted_fix_is_what_the_case_delivers(bench: Workbench) -> None:
    for step in (ReportStep.VALIDATE, ReportStep.ACCEPT):
        bench.hub.cases.step(bench.maintainer, bench.case, step)
    shown = bench.judged(bench.maintainer, FIX)
    assert shown.adopted_at is not None
    made = delivered(bench)
    assert made is not None
    assert (made.wheel, made.manifest.version) == (b"WHEEL-BYTES", "1.0+clearhold.1")
    assert made.manifest.probe is not None
    assert made.manifest.probe.files == {"/in/proof": b"PROOF-ONE"}
    assert bench.hub.cases.get(bench.coordinator, bench.case).status == "VFdpxa"
    assert bench.hub.patches.wheel(bench.maintainer, shown.id) == ("quuxlib.whl", b"WHEEL-BYTES")


def test_a_finders_fix_is_delivered_only_once_somebody_stands_behind_it(bench: Workbench) -> None:
    shown = bench.judged(bench.lab, FIX)
    assert (shown.state, shown.adopted_at) == (State.ACCEPTED, None)
    assert delivered(bench) is None
    with pytest.raises(ConflictError, match="vendor or coordinator"):
        bench.hub.patches.adopt(bench.lab, shown.id)
    adopted = bench.hub.patches.adopt(bench.maintainer, shown.id)
    assert adopted.adopted_at is not None
    assert delivered(bench) is not None
    assert bench.hub.cases.get(bench.lab, bench.case).fix_proved_at is not None


def test_what_was_not_accepted_cannot_be_adopted(bench: Workbench) -> None:
    shown = bench.judged(bench.lab, HIDES_ONE)
    with pytest.raises(ConflictError, match="refused"):
        bench.hub.patches.adopt(bench.coordinator, shown.id)


def test_a_proof_that_joins_the_case_later_stops_the_delivery(
    bench: Workbench, party_of: Callable[..., Actor], found: Callable[..., FindingId]
) -> None:
    shown = bench.judged(bench.maintainer, FIX)
    assert delivered(bench) is not None
    late = found(party_of(PartyKind.LAB), b"PROOF-THREE")
    join(bench.hub, bench.findings[0], late)
    bench.engine.run_due()
    assert delivered(bench) is None
    with pytest.raises(ConflictError, match="not judged by"):
        bench.hub.patches.adopt(bench.coordinator, shown.id)
    again = bench.judged(bench.maintainer, FIX, key="second")
    assert again.state is State.ACCEPTED
    assert delivered(bench) is not None


def test_a_proof_that_joins_while_the_judge_works_is_judged_by_as_well(
    bench: Workbench, party_of: Callable[..., Actor], found: Callable[..., FindingId]
) -> None:
    late = found(party_of(PartyKind.LAB), b"PROOF-FOUR")

    def joins() -> None:
        join(bench.hub, bench.findings[0], late)
        bench.engine.run_due()

    bench.engine.register(JUDGE, lambda _ids: None)
    submitted = bench.submit(bench.maintainer, FIX)
    bench.judge.meanwhile = joins
    bench.judging.judge({"patch": submitted.id})
    shown = bench.hub.patches.get(bench.maintainer, submitted.id)
    assert shown.state is State.REFUSED
    assert [len(each.proofs) for each in bench.judge.seen] == [2, 3]


def test_judging_again_after_a_crash_changes_nothing_decided(bench: Workbench) -> None:
    submitted = bench.submit(bench.maintainer, FIX)

    def dies() -> None:
        raise KeyboardInterrupt

    bench.judge.meanwhile = dies
    with pytest.raises(KeyboardInterrupt):
        bench.engine.run_due()
    assert bench.hub.patches.get(bench.maintainer, submitted.id).state is State.JUDGING
    bench.engine.run_due()
    decided = bench.hub.patches.get(bench.maintainer, submitted.id)
    assert decided.state is State.ACCEPTED
    judged = len(bench.judge.seen)
    bench.judging.judge({"patch": submitted.id})
    assert len(bench.judge.seen) == judged
    leaves = bench.hub.history(bench.maintainer, after=0, limit=1000)
    actions = [leaf.action for leaf in leaves]
    assert actions.count("patches:candidate:judge") == 1
    assert actions.count("patches:candidate:adopt") == 1
    assert bench.hub.patches.get(bench.maintainer, submitted.id).decided_at == decided.decided_at


@pytest.mark.parametrize("cut", ["store", "seal", "record", "publish"])
def test_a_verdict_cut_off_while_it_is_written_leaves_nothing_half_written(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    submitted = bench.submit(bench.maintainer, FIX)

    def dies(*_given: object, **_named: object) -> None:
        raise KeyboardInterrupt

    def from_now_on() -> None:
        monkeypatch.setattr(Vault if cut in {"store", "seal"} else UnitOfWork, cut, dies)

    bench.judge.meanwhile = from_now_on
    with pytest.raises(KeyboardInterrupt):
        bench.engine.run_due()
    monkeypatch.undo()
    unfinished = bench.hub.patches.get(bench.maintainer, submitted.id)
    assert (unfinished.state, unfinished.deliverable) == (State.JUDGING, False)
    assert bench.hub.cases.get(bench.coordinator, bench.case).fix_proved_at is None
    bench.engine.run_due()
    assert bench.hub.patches.get(bench.maintainer, submitted.id).adopted_at is not None
    assert delivered(bench) is not None


def test_a_missing_sandbox_blames_nobody(bench: Workbench) -> None:
    shown = bench.judged(bench.maintainer, NEEDS_SANDBOX)
    assert shown.state is State.UNDECIDED
    assert shown.judgement is not None
    assert shown.judgement.kind == "environment_failure"
    assert "Install bubblewrap" in shown.judgement.reason


def test_what_could_not_be_tried_is_tried_again(bench: Workbench, clock: Any) -> None:
    failed = bench.judged(bench.maintainer, NEEDS_SANDBOX)
    tries = len(bench.judge.seen)
    clock.advance(AGAIN_AFTER[0])
    bench.engine.run_due()
    assert len(bench.judge.seen) == tries + 1
    asked = bench.hub.patches.repeat(bench.maintainer, failed.id)
    assert asked.state is State.RECEIVED
    with pytest.raises(ConflictError):
        bench.hub.patches.repeat(bench.maintainer, failed.id)
    bench.engine.run_due()
    assert len(bench.judge.seen) == tries + 2
    done = bench.judged(bench.maintainer, FIX, key="another")
    with pytest.raises(ConflictError, match="judged"):
        bench.hub.patches.repeat(bench.maintainer, done.id)


def test_the_same_request_is_one_candidate(bench: Workbench) -> None:
    first = bench.submit(bench.maintainer, FIX)
    assert bench.submit(bench.maintainer, FIX).id == first.id
    with pytest.raises(ConflictError, match="key"):
        bench.submit(bench.maintainer, HIDES_ONE)
    assert len(bench.hub.patches.list(bench.maintainer, bench.case)) == 1


def test_an_outsider_can_neither_submit_nor_see_nor_count(
    bench: Workbench, party_of: Callable[..., Actor]
) -> None:
    shown = bench.judged(bench.maintainer, FIX)
    with pytest.raises(NotFoundError):
        bench.submit(bench.stranger, FIX)
    assert bench.hub.patches.list(bench.stranger, bench.case) == ()
    answers = []
    for identity in (shown.id, PatchId("no-such-fix")):
        for look in (bench.hub.patches.get, bench.hub.patches.diff, bench.hub.patches.wheel):
            with pytest.raises(NotFoundError) as refused:
                look(bench.stranger, identity)
            answers.append((refused.value.message, refused.value.next_step))
    assert len(set(answers)) == 1
    with pytest.raises(DeniedError):
        bench.hub.patches.get(party_of(PartyKind.OPERATOR), shown.id)


def test_a_finder_sees_its_own_fix_and_nothing_of_anothers_finding(bench: Workbench) -> None:
    bench.judged(bench.maintainer, FIX)
    own = bench.judged(bench.finder, HIDES_ONE, key="mine")
    assert [each.id for each in bench.hub.patches.list(bench.finder, bench.case)] == [own.id]
    assert own.judgement is not None
    assert [(each.finding, each.stopped, each.observed) for each in own.judgement.proofs] == [
        ("", True, ""),
        (bench.findings[1], False, "SECRET-FRAME"),
    ]
    accepted = bench.judged(bench.finder, FIX, key="third")
    assert accepted.judgement is not None
    assert accepted.judgement.facts == {}
    assert bench.hub.patches.diff(bench.finder, accepted.id) == FIX
    with pytest.raises(NotFoundError):
        bench.hub.patches.wheel(bench.finder, accepted.id)


def test_only_a_vendor_submits_a_maintainers_fix(bench: Workbench) -> None:
    with pytest.raises(InvalidError, match="vendor"):
        bench.submit(bench.lab, FIX, origin=Origin.MAINTAINER)
    assert bench.submit(bench.maintainer, FIX, origin=Origin.MAINTAINER).origin == "maintainer"


@pytest.mark.parametrize(
    ("diff", "error"),
    [(b"", InvalidError), (b" \n\t", InvalidError), (b"x" * (1024 * 1024 + 1), TooLargeError)],
)
def test_what_is_no_diff_by_its_size_is_refused(
    bench: Workbench, diff: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        bench.submit(bench.maintainer, diff)
    with pytest.raises(InvalidError, match="key"):
        bench.submit(bench.maintainer, FIX, key="a\nb")


def test_bytes_that_are_no_text_are_kept_as_they_are(bench: Workbench) -> None:
    hostile = b"\xff\xfe\x00\x1b[2J--- a\n"
    shown = bench.judged(bench.maintainer, hostile)
    assert shown.state is State.REFUSED
    assert bench.hub.patches.diff(bench.maintainer, shown.id) == hostile


def test_a_closed_case_takes_no_fix(bench: Workbench) -> None:
    bench.hub.cases.close(bench.coordinator, bench.case)
    with pytest.raises(ConflictError, match="closed"):
        bench.submit(bench.maintainer, FIX)


def test_a_stolen_database_tells_nothing_of_a_fix(bench: Workbench, database: Engine) -> None:
    bench.judged(bench.maintainer, FIX)
    with database.connect() as connection:
        rows = [
            repr(row)
            for table in metadata.sorted_tables
            for row in connection.execute(table.select())
        ]
    everything = "\n".join(rows)
    assert bench.case in everything
    kept = [path for path in bench.hub.settings.data_directory.rglob("*") if path.is_file()]
    for secret in ("stops PROOF", "Bounds the copy", "quuxlib", "SECRET-FRAME", "WHEEL-BYTES"):
        assert secret not in everything
        assert all(secret.encode() not in path.read_bytes() for path in kept)
