"""Parties and submissions that tests of findings start from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from finding_examples import document

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.findings.intake import Format
from clearhold.findings.model import Receipt, State
from clearhold.kernel.ids import FindingId


@pytest.fixture
def lab_a(party_of: Callable[..., Actor]) -> Actor:
    return party_of(PartyKind.LAB, "lab-alpha")


@pytest.fixture
def lab_b(party_of: Callable[..., Actor]) -> Actor:
    return party_of(PartyKind.LAB, "lab-beta")


@pytest.fixture
def labs(lab_a: Actor, lab_b: Actor) -> tuple[Actor, Actor]:
    return lab_a, lab_b


@pytest.fixture
def coordinator(party_of: Callable[..., Actor]) -> Actor:
    return party_of(PartyKind.COORDINATOR, "coordinator")


@pytest.fixture
def submit(hub: Hub, clock: Any) -> Callable[..., Receipt]:
    """Submits our own JSON under a key of its own, a second after the last."""
    count = 0

    def send(actor: Actor, raw: bytes | None = None, **options: Any) -> Receipt:
        nonlocal count
        count += 1
        clock.advance(timedelta(seconds=1))
        given = {"form": Format.CLEARHOLD_JSON, "key": f"key-{count}"} | options
        return hub.findings.submit(actor, document() if raw is None else raw, **given)

    return send


@pytest.fixture
def reproduce(hub: Hub) -> Callable[..., None]:
    """Records that findings reproduced."""

    def record(*findings: str, level: int = 2) -> None:
        with hub.sessions.transaction() as unit:
            for finding in findings:
                hub.findings.set_verdict(
                    unit,
                    FindingId(finding),
                    state=State.REPRODUCED,
                    verdict="reproduced",
                    level=level,
                )

    return record
