"""What third parties say others wish reaches a coordinator, and no one else."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from clearhold.access.model import Actor
from clearhold.assembly.hub import Hub
from clearhold.findings.intake import Format
from clearhold.findings.model import Receipt
from clearhold.kernel.errors import DeniedError
from clearhold.kernel.purl import Purl
from clearhold.parties import wishes
from clearhold.parties.wish import Wishes

PREFIX = "https://github.com/alpha-omega-security/scrutineer/interchange/"


def statement(kind: str, **predicate: str) -> bytes:
    return json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "s", "digest": {"sha256": "a" * 64}}],
            "predicateType": PREFIX + kind,
            "predicate": predicate,
        }
    ).encode()


def test_an_opt_out_that_somebody_speaks_of_is_listed_for_coordinators_and_binds_nobody(
    hub: Hub, lab_a: Actor, coordinator: Actor, submit: Callable[..., Receipt]
) -> None:
    lines = [
        statement(
            "optout/v1", repository="https://github.com/o/r", requested_at="2026-01-01T00:00:00Z"
        ),
        statement("claim/v1", contact="secret@example.org"),
    ]
    receipt = submit(lab_a, b"\n".join(lines), form=Format.INTERCHANGE)
    assert len(receipt.records) == 2
    [proposal] = hub.proposals.list(coordinator)
    assert (proposal.kind, proposal.about) == ("optout/v1", "https://github.com/o/r")
    assert proposal.sent_by == lab_a.party
    assert proposal.submission == receipt.submission
    with pytest.raises(DeniedError):
        hub.proposals.list(lab_a)
    with hub.sessions.transaction() as unit:
        assert wishes.for_package(unit, Purl.parse("pkg:github/o/r")) == Wishes()
