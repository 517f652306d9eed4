"""A receipt says which public flaws a report resembles, and which of them are exploited."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from finding_examples import document

from clearhold.access.model import Actor
from clearhold.assembly.hub import Hub
from clearhold.findings.model import Receipt
from clearhold.findings.public import MOST_NAMED, MOST_PERHAPS

Submit = Callable[..., Receipt]


def record(identity: str, details: str, **given: Any) -> str:
    affected = [{"package": {"ecosystem": "PyPI", "name": "ujson"}, "versions": ["5.1.0"]}]
    told = {"id": identity, "summary": identity, "details": details, "affected": affected}
    return json.dumps(told | given)


def test_a_report_in_other_words_is_recognised(
    hub: Hub, coordinator: Actor, lab_a: Actor, submit: Submit
) -> None:
    hub.catalogue.import_public(
        coordinator,
        [
            record("PYSEC-2021-1", "Lone surrogates are decoded wrongly by `decode_string`."),
            record("PYSEC-2022-2", "`Buffer_AppendIndentUnchecked` writes behind a stack buffer."),
            record("PYSEC-2022-3", "A double free in `objToJSON` when memory runs out."),
        ],
    )
    told = "ASan reports stack-buffer-overflow in Buffer_AppendIndentUnchecked lib/ultrajsonenc.c"
    [finding] = submit(lab_a, document(description=told)).findings
    assert finding.public == ()
    assert finding.perhaps_public[0] == "PYSEC-2022-2"
    assert set(finding.perhaps_public) == {"PYSEC-2021-1", "PYSEC-2022-2", "PYSEC-2022-3"}
    [seen] = finding.public_seen
    assert seen.id == "PYSEC-2022-2"
    assert "buffer_appendindentunchecked" in seen.signs[0]
    assert seen.exploited == ""


def test_a_flaw_that_is_exploited_is_said_to_be(
    hub: Hub, coordinator: Actor, lab_a: Actor, submit: Submit
) -> None:
    known = record("GHSA-wpqr-jcpx-745r", "Anything.", aliases=["CVE-2022-31116"])
    hub.catalogue.import_public(coordinator, [known])
    entry = {"cveID": "CVE-2022-31116", "dateAdded": "2026-08-07"}
    catalogue = json.dumps({"catalogVersion": "1", "vulnerabilities": [entry]})
    hub.catalogue.import_exploited(coordinator, catalogue)
    [finding] = submit(lab_a).findings
    [seen] = finding.public_seen
    assert (seen.id, seen.exploited, seen.ransomware) == (
        "GHSA-wpqr-jcpx-745r",
        "2026-08-07",
        False,
    )


def test_of_many_the_likeliest_are_listed_and_those_named_all(
    hub: Hub, coordinator: Actor, lab_a: Actor, submit: Submit
) -> None:
    every = [record(f"PYSEC-2020-{number}", f"in function_{number}()") for number in range(60)]
    hub.catalogue.import_public(coordinator, every)
    told = f"function_57() fails, see {' '.join(f'PYSEC-2020-{n}' for n in range(30))}"
    [finding] = submit(lab_a, document(description=told)).findings
    assert len(finding.public) == 30
    assert len(finding.perhaps_public) == MOST_PERHAPS
    assert finding.perhaps_public[0] == "PYSEC-2020-57"


def test_a_report_that_names_everything_gets_a_bounded_receipt(
    hub: Hub, coordinator: Actor, lab_a: Actor, submit: Submit
) -> None:
    names = [f"PYSEC-2020-{number}" for number in range(MOST_NAMED + 60)]
    every = [record(name, f"in function_{name[11:]}()") for name in names]
    hub.catalogue.import_public(coordinator, every)
    told = f"function_{MOST_NAMED + 59}() fails, see {' '.join(names)}"
    [finding] = submit(lab_a, document(description=told)).findings
    assert len(finding.public) == MOST_NAMED
    assert finding.public[0] == names[-1]
    assert finding.perhaps_public == ()
    assert len(finding.public_seen) == MOST_NAMED


def test_a_public_summary_shows_no_escapes(
    hub: Hub, coordinator: Actor, lab_a: Actor, submit: Submit
) -> None:
    hostile = "\x1b[2J\u202eOverflow in `objToJSON`\x07"
    hub.catalogue.import_public(coordinator, [record("PYSEC-2022-2", hostile, summary=hostile)])
    [finding] = submit(lab_a, document(description="A crash in objToJSON")).findings
    assert finding.public_seen[0].summary == "[2JOverflow in `objToJSON`"


def test_what_another_party_sent_changes_nothing_of_it(
    hub: Hub, coordinator: Actor, lab_a: Actor, lab_b: Actor, submit: Submit
) -> None:
    hub.catalogue.import_public(coordinator, [record("PYSEC-2022-2", "in `objToJSON`")])
    told = document(description="A crash in objToJSON")
    first = submit(lab_a, told).findings[0]
    second = submit(lab_b, told).findings[0]
    assert (first.perhaps_public, first.public_seen) == (second.perhaps_public, second.public_seen)
    assert second.own_duplicates == ()
