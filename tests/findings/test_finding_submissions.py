"""What a finder gets for a submission, and what is kept of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from finding_examples import DESCRIPTION, PROOF, TITLE, document
from sqlalchemy import Engine, event, select

from clearhold.access.model import Actor
from clearhold.assembly.hub import Hub
from clearhold.catalogue.model import Technique
from clearhold.findings.intake import Format
from clearhold.findings.model import Receipt, State
from clearhold.kernel.errors import ClearholdError, ConflictError, InvalidError
from clearhold.kernel.ids import FindingId, SubmissionId
from clearhold.kernel.matching import Range
from clearhold.scanning.model import Mode, Versions, make_scope
from clearhold.store.all_tables import metadata

Submit = Callable[..., Receipt]


def test_a_submission_is_answered_with_a_receipt_and_kept_as_it_came(
    hub: Hub, lab_a: Actor, submit: Submit, clock: Any
) -> None:
    raw = document(patch="--- a/x\n+++ b/x\n")
    receipt = submit(lab_a, raw)
    [finding] = receipt.findings
    assert receipt.received_at == clock.now()
    assert finding.missing == ("tests",)
    assert (finding.own_duplicates, finding.public, finding.perhaps_public) == ((), (), ())
    assert receipt.under_lease is None
    assert hub.findings.raw(lab_a, SubmissionId(receipt.submission)) == raw
    view = hub.findings.get(lab_a, FindingId(finding.finding))
    assert view.body is not None
    assert (view.body.title, view.body.description) == (TITLE, DESCRIPTION)
    assert view.body.claim == "crash"
    assert view.head.state is State.RECEIVED
    assert hub.findings.proof(lab_a, view.head.id) == PROOF
    assert hub.findings.receipt(lab_a, SubmissionId(receipt.submission)) == receipt


def test_each_finding_of_a_log_has_a_compartment_of_its_own(
    hub: Hub, lab_a: Actor, submit: Submit
) -> None:
    results = [{"message": {"text": f"bug {n}"}} for n in range(3)]
    run = {"tool": {"driver": {}}, "results": results}
    raw = json.dumps({"version": "2.1.0", "runs": [run]})
    package = "pkg:pypi/ujson@5.1.0"
    receipt = submit(lab_a, raw.encode(), form=Format.SARIF, package=package)
    views = hub.findings.list(lab_a)
    assert {view.head.id for view in views} == {each.finding for each in receipt.findings}
    assert len({view.head.compartment for view in views}) == 3
    assert all(view.body is None for view in views)


def test_a_repeated_request_answers_the_same_receipt_and_adds_nothing(
    hub: Hub, lab_a: Actor, submit: Submit
) -> None:
    first = submit(lab_a, key="again")
    assert submit(lab_a, key="again") == first
    assert len(hub.findings.list(lab_a)) == 1
    with pytest.raises(ConflictError) as refused:
        submit(lab_a, document(title="Another"), key="again")
    assert refused.value.next_step


def test_keys_of_different_parties_do_not_meet(lab_a: Actor, lab_b: Actor, submit: Submit) -> None:
    assert submit(lab_a, key="same").submission != submit(lab_b, key="same").submission


def test_one_request_sent_twice_at_once_is_taken_once(
    hub: Hub, lab_a: Actor, submit: Submit
) -> None:
    barrier = threading.Barrier(4)
    receipts: list[Receipt] = []

    def run() -> None:
        barrier.wait()
        receipts.append(submit(lab_a, key="at-once"))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receipts) == 4
    assert len({receipt.submission for receipt in receipts}) == 1
    assert len(hub.findings.list(lab_a)) == 1


def test_a_finder_is_told_of_own_copies_and_never_of_anothers(
    lab_a: Actor, lab_b: Actor, submit: Submit
) -> None:
    first = submit(lab_a)
    rival = submit(lab_b)
    assert rival.findings[0].own_duplicates == ()
    copy = submit(lab_a, document(description="Other words, one proof."))
    assert copy.findings[0].own_duplicates == (first.findings[0].finding,)
    text = submit(lab_a, document(proof=None))
    assert text.findings[0].own_duplicates == (first.findings[0].finding,)


def test_public_vulnerabilities_are_recognised(
    hub: Hub, lab_a: Actor, coordinator: Actor, submit: Submit
) -> None:
    for identity in ("CVE-2021-45958", "CVE-2022-31116"):
        hub.catalogue.record_known(
            coordinator,
            "pkg:pypi/ujson",
            identity,
            aliases=("GHSA-aaaa-bbbb-cccc",) if identity.startswith("CVE-2021") else (),
            ranges=(Range(fixed="5.4.0"),),
        )
    naming = submit(lab_a, document(description="Like ghsa-aaaa-bbbb-cccc, in the encoder."))
    assert naming.findings[0].public == ("CVE-2021-45958",)
    assert naming.findings[0].perhaps_public == ("CVE-2022-31116",)
    later = submit(lab_a, document(package="pkg:pypi/ujson@5.4.0"))
    assert later.findings[0].perhaps_public == ()


def test_every_kind_of_public_name_is_recognised_in_a_report(
    hub: Hub, lab_a: Actor, coordinator: Actor, submit: Submit
) -> None:
    for identity in ("OSV-2021-977", "PYSEC-2022-25", "CVE-2021-45958"):
        hub.catalogue.record_known(
            coordinator, "pkg:pypi/ujson", identity, ranges=(Range(fixed="5.4.0"),)
        )
    told = "See https://osv.dev/OSV-2021-977, pysec-2022-25, not XCVE-2021-45958."
    naming = submit(lab_a, document(description=told)).findings[0]
    assert naming.public == ("OSV-2021-977", "PYSEC-2022-25")
    assert naming.perhaps_public == ("CVE-2021-45958",)


def test_a_lease_is_checked_and_a_lapsed_one_loses_nothing(
    hub: Hub, lab_a: Actor, lab_b: Actor, submit: Submit, clock: Any
) -> None:
    scope = make_scope("pkg:pypi/ujson", versions=Versions(), paths=(), technique=Technique.FUZZING)
    held = hub.scanning.claim(
        lab_a, scope, mode=Mode.EXCLUSIVE, window=timedelta(days=1), budget_s=60, key="lease"
    ).lease
    named = {"lease": held.id, "fence": held.fence}
    assert submit(lab_a, **named).under_lease is True
    assert submit(lab_b, **named).under_lease is False
    assert submit(lab_a, document(package="pkg:pypi/other@1.0"), **named).under_lease is False
    clock.advance(timedelta(hours=2))
    assert submit(lab_a, **named).under_lease is False
    assert len(hub.findings.list(lab_a)) == 3
    with pytest.raises(InvalidError):
        submit(lab_a, lease=held.id)


def test_a_refused_submission_leaves_what_was_accepted_untouched(
    hub: Hub, lab_a: Actor, submit: Submit
) -> None:
    kept = submit(lab_a)
    for hostile in (b"{", b"\xff", b'{"a":1,"a":2}', b"[" * 10_000, document(title="\x1b[2J")):
        with pytest.raises(ClearholdError) as refused:
            submit(lab_a, hostile)
        assert refused.value.message.isprintable()
    assert [view.head.id for view in hub.findings.list(lab_a)] == [kept.findings[0].finding]
    assert hub.findings.raw(lab_a, SubmissionId(kept.submission)) == document()


def test_a_finding_is_announced_once_it_is_stored(
    hub: Hub, engine: Any, lab_a: Actor, submit: Submit
) -> None:
    heard: list[str] = []
    engine.register("on:finding.submitted", lambda ids: heard.append(ids["finding"]))
    receipt = submit(lab_a, key="k")
    submit(lab_a, key="k")
    engine.run_due()
    assert heard == [receipt.findings[0].finding]


def test_a_submission_costs_a_fixed_number_of_statements(
    database: Engine, lab_a: Actor, submit: Submit
) -> None:
    sent: list[str] = []

    def note(*arguments: Any) -> None:
        sent.append(arguments[2])

    def cost(number: int) -> int:
        sent.clear()
        submit(lab_a, document(title=f"Bug {number}"))
        return len(sent)

    event.listen(database, "before_cursor_execute", note)
    first = cost(0)
    assert {cost(number) for number in range(1, 6)} == {first}
    assert first <= 35


def test_a_stolen_database_tells_nothing_of_what_is_under_embargo(
    hub: Hub, database: Engine, tmp_path: Path, lab_a: Actor, submit: Submit
) -> None:
    raw = document(package="pkg:pypi/secretive-package@5.1.0", patch="--- a/hush.c\n+++ b/hush.c\n")
    finding = FindingId(submit(lab_a, raw).findings[0].finding)
    with hub.sessions.transaction() as unit:
        hub.findings.index_signature(unit, finding, ["Buffer_AppendIndentUnchecked", "encode"])
        hub.findings.set_verdict(
            unit, finding, state=State.REPRODUCED, verdict="reproduced", level=3
        )
    hub.findings.get(lab_a, finding)
    with database.connect() as connection:
        rows = [
            repr(tuple(row)).encode()
            for table in metadata.sorted_tables
            for row in connection.execute(select(table))
        ]
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert len(files) >= 3
    stolen = b"".join([*rows, *(path.read_bytes() for path in files)])
    assert finding.encode() in stolen
    assert PROOF[1:-1] not in stolen
    for secret in (TITLE, DESCRIPTION, "secretive-package", "hush.c", "Buffer_Append", "CWE-121"):
        assert secret.encode() not in stolen, secret
