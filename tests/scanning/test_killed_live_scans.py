"""A process killed anywhere between lease, passport, stop and acknowledgement leaves nothing half."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from live_process import ADDRESS, DOMAIN, SHOP
from live_scene import LiveScene
from sqlalchemy import select

from clearhold.access.model import Actor
from clearhold.assembly.hub import Hub
from clearhold.kernel.errors import ConflictError
from clearhold.ledger.tables import ledger_leaf
from clearhold.scanning.claim_records import Kind
from clearhold.scanning.live_tables import (
    live_lease,
    live_notice,
    live_passport,
    live_place,
    live_stop,
)
from clearhold.scanning.model import LIVE, State
from clearhold.scanning.tables import scan_attempt

PROCESS: Final = Path(__file__).with_name("live_process.py")
ROUNDS: Final = 6


@pytest.fixture
def scene(hub: Hub, party_of: Callable[..., Actor]) -> LiveScene:
    made = LiveScene(hub, party_of)
    made.allow(targets=(DOMAIN, "network:203.0.113.0/24"), concurrency=50)
    return made


def killed(scene: LiveScene, lab: Actor, url: str, root: Path, number: int) -> list[list[str]]:
    """What a process said to have done before it was killed, after a number of acts or amid one."""
    random = Random(number)  # noqa: S311  # moments, no secret
    command = [sys.executable, str(PROCESS), url, str(root), scene.hub.clock.now().isoformat()]
    process = subprocess.Popen(
        [*command, lab.party, lab.principal, scene.owner.party, scene.owner.principal, str(number)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(random.randint(1, 10))]
    time.sleep(random.random() / 25)
    os.kill(process.pid, signal.SIGKILL)
    told += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    assert all(told), "it ended by itself"
    return [each.split() for each in told]


def whole(scene: LiveScene, told: list[list[str]]) -> None:
    """Everything that was said lasts, and what was not finished was not begun."""
    with scene.hub.sessions.transaction() as unit, unit.as_service():
        rows: dict[str, list[Any]] = {
            table.name: list(unit.connection.execute(select(table)).all())
            for table in (live_lease, live_passport, live_stop, live_notice, live_place)
        }
        attempts = unit.connection.execute(
            select(scan_attempt.c.id).where(scan_attempt.c.kind == Kind.LIVE)
        ).all()
        leaves = Counter(unit.connection.execute(select(ledger_leaf.c.action)).scalars())
        now = unit.now
    leases = {row.id: row for row in rows["live_lease"]}
    stops = {row.id: row for row in rows["live_stop"]}
    passports = {row.id: row for row in rows["live_passport"]}
    notices = {row.id: row for row in rows["live_notice"]}
    said = {
        "claim": leases,
        "heartbeat": leases,
        "passport": passports,
        "stop": stops,
        "lift": {each: row for each, row in stops.items() if row.lifted_at},
        "acknowledge": {each: row for each, row in notices.items() if row.acknowledged_at},
    }
    for act, identity in told:
        assert identity in said[act], f"{act} was said to be done"
    assert {*leases, *stops} <= {row.subject for row in rows["live_place"]}
    assert len(attempts) == len(leases) == leaves["scanning:live:grant"]
    assert len(stops) == leaves["scanning:live:stop"]
    assert len(passports) == leaves["scanning:passport:issue"]
    # A stop is in one piece: lease over, passports revoked and holder told, or nothing of it.
    ended = {each for each, row in leases.items() if row.state == State.REVOKED}
    assert Counter(row.lease for row in notices.values()) == Counter(ended)
    assert {row.cause for row in notices.values()} <= set(stops)
    for row in passports.values():
        assert (row.revoked_at is not None) is (row.lease in ended)
    if any(row.lifted_at is None for row in stops.values()):
        standing = [row for row in leases.values() if row.state in LIVE and row.expires_at > now]
        assert not standing


def test_whenever_it_is_killed_nothing_is_half_done_and_the_next_goes_on(
    scene: LiveScene, database_url: str, tmp_path: Path
) -> None:
    lab = scene.lab("lab")
    acts: Counter[str] = Counter()
    for number in range(ROUNDS):
        told = killed(scene, lab, database_url, tmp_path, number)
        acts.update(act for act, _ in told)
        whole(scene, told)
    assert acts["claim"] >= ROUNDS
    assert acts["stop"]
    assert scene.hub.verify_ledger(scene.coordinator).intact
    emergency = scene.hub.live.emergency
    for stop in emergency.list(scene.owner):
        emergency.lift(scene.owner, stop.id)
    for notice in emergency.notices(lab):
        with pytest.raises(ConflictError):
            scene.claim(lab, SHOP)
        emergency.acknowledge(lab, notice.id)
    assert scene.claim(scene.lab("other"), ADDRESS, key="after")  # no lane stayed held
