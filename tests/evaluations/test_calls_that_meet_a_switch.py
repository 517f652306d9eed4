"""A call that waits for somebody who changes what decides about it sees what that somebody wrote."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from gateway_scene import ONE_DATABASE, Gate, Model
from sqlalchemy import Engine, select, text, update

from clearhold.evaluations.gateway.calls import LOST_AFTER
from clearhold.evaluations.gateway.tables import model_gateway
from clearhold.evaluations.tables import engagement
from scripted_model import Endpoint

PATIENCE_S = 60.0
WAITING = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@contextmanager
def switching_off(gate: Gate, database: Engine) -> Iterator[None]:
    """A developer's switch that commits once a call waits for it, which is made within."""
    with database.begin() as connection:
        held = select(engagement.c.id).where(engagement.c.id == gate.id).with_for_update()
        assert connection.execute(held).scalar_one()
        connection.execute(
            update(model_gateway)
            .where(model_gateway.c.engagement == gate.id)
            .values(switched_off=True)
        )
        yield
        until = time.monotonic() + PATIENCE_S
        while database.dialect.name == "postgresql" and time.monotonic() < until:
            with database.connect() as other:
                if other.execute(WAITING).scalar_one():
                    break
            time.sleep(0.01)


def test_a_call_that_begins_while_access_is_switched_off_reaches_nobody(
    gate: Gate, served: Endpoint, model: Model, database: Engine
) -> None:
    gate.open(served)
    asked = threading.Event()
    model.meanwhile = asked.set
    with ThreadPoolExecutor(1) as pool:
        with switching_off(gate, database):
            call = pool.submit(gate.refused)
        assert call.result(PATIENCE_S) == "switched-off"
    assert not asked.is_set()


def test_an_answer_that_comes_while_access_is_switched_off_is_kept_back(
    gate: Gate, served: Endpoint, model: Model, database: Engine
) -> None:
    gate.open(served)
    asked, free = threading.Event(), threading.Event()

    def think() -> None:
        asked.set()
        free.wait(PATIENCE_S)

    model.meanwhile = think
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(gate.refused)
        assert asked.wait(PATIENCE_S)
        with switching_off(gate, database):
            free.set()
        assert call.result(PATIENCE_S) == "cut-off"


class Disk:
    """A disk on which nothing can be waited for; `failed` once that was tried."""

    def __init__(self) -> None:
        self.failed = threading.Event()

    def __call__(self, _log: int) -> None:
        self.failed.set()
        message = "the disk"
        raise OSError(message)


WAIT = "clearhold.store.database.os.fdatasync"


@ONE_DATABASE
def test_a_disk_that_fails_while_the_endpoint_thinks_is_not_the_endpoint_s_fault(
    gate: Gate, served: Endpoint, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.open(served)
    before = len(gate.record())
    disk = Disk()
    model.meanwhile = lambda: (disk.failed.wait(PATIENCE_S), None)[1]
    with monkeypatch.context() as patch:
        patch.setattr(WAIT, disk)
        with pytest.raises(OSError, match="the disk"):
            gate.call()
    assert gate.get().stored.suspected_at is None
    assert len(gate.record()) == before
    assert gate.get().grants[0].stored.held > 0
    gate.sweep(LOST_AFTER * 2)
    assert "lost" in [each.outcome for each in gate.record()]


@ONE_DATABASE
def test_a_disk_that_fails_after_the_answer_lets_nobody_have_it(
    gate: Gate, served: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.open(served)
    before = len(gate.record())
    # Time enough for the answer to be there before the disk is asked for the first time.
    monkeypatch.setattr("clearhold.adapters.endpoints_https._SOON_S", PATIENCE_S)
    with monkeypatch.context() as patch:
        patch.setattr(WAIT, Disk())
        with pytest.raises(OSError, match="the disk"):
            gate.call()
    assert [each.outcome for each in gate.record()[before:]] == ["answered"]
    assert gate.get().stored.suspected_at is None
    assert gate.get().grants[0].stored.held == 0
