"""Nobody is given much in little time without its standing out, whichever process gives it."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, select

from clearhold.adapters.blobs_local import LocalBlobs
from clearhold.adapters.keys_file import FileKeyRing
from clearhold.kernel.errors import LimitError
from clearhold.kernel.ids import CompartmentId
from clearhold.ledger.records import leaves
from clearhold.store.unit_of_work import Sessions
from clearhold.vault.service import Vault
from clearhold.vault.tables import release_window

PLACE = ("finding", "body", "row")
LIMIT = 10


class Shelf:
    """One sealed field, to be read often."""

    def __init__(self, sessions: Sessions, vault: Vault) -> None:
        self.sessions, self.vault = sessions, vault
        with sessions.transaction() as unit:
            self.within: CompartmentId = vault.open_compartment(unit)
            self.sealed = vault.seal(unit, self.within, place=PLACE, content=b"content")

    def read(self, reader: str, times: int = 1) -> None:
        with self.sessions.transaction() as unit:
            for _ in range(times):
                self.vault.unseal(unit, self.within, place=PLACE, sealed=self.sealed, reader=reader)

    def told(self, action: str) -> list[str]:
        with self.sessions.transaction() as unit:
            return [each.actor for each in leaves(unit.connection) if each.action == action]


@pytest.fixture
def shelf(sessions: Sessions, ring: FileKeyRing, tmp_path: Path) -> Shelf:
    blobs = LocalBlobs(tmp_path / "data" / "blobs")
    return Shelf(sessions, Vault(ring, blobs, releases_per_hour=LIMIT))


def test_beyond_the_limit_nothing_is_released_and_it_is_in_the_ledger(shelf: Shelf) -> None:
    shelf.read("ada", LIMIT - 1)
    shelf.read("ada")
    with pytest.raises(LimitError) as told:
        shelf.read("ada")
    assert told.value.status == 429
    assert "coordinator" in told.value.next_step
    shelf.read("grace")
    assert shelf.told("vault:plaintext:release") == ["ada"] * LIMIT + ["grace"]
    assert shelf.told("vault:plaintext:refuse") == ["ada"]


def test_one_large_request_is_no_way_around_it(shelf: Shelf) -> None:
    with pytest.raises(LimitError):
        shelf.read("ada", LIMIT + 1)
    assert shelf.told("vault:plaintext:release") == []
    assert shelf.told("vault:plaintext:refuse") == ["ada"]
    shelf.read("ada", LIMIT)


def test_catching_the_refusal_gets_nobody_further(shelf: Shelf) -> None:
    with pytest.raises(LimitError), shelf.sessions.transaction() as unit:
        for _ in range(LIMIT + 5):
            try:
                shelf.vault.unseal(
                    unit, shelf.within, place=PLACE, sealed=shelf.sealed, reader="ada"
                )
            except LimitError:
                continue
    assert shelf.told("vault:plaintext:release") == []


def test_the_window_slides(shelf: Shelf, clock: Any) -> None:
    shelf.read("ada", LIMIT // 2)
    clock.advance(timedelta(minutes=40))
    shelf.read("ada", LIMIT - LIMIT // 2)
    with pytest.raises(LimitError):
        shelf.read("ada")
    clock.advance(timedelta(minutes=21))
    shelf.read("ada", LIMIT // 2)
    with pytest.raises(LimitError):
        shelf.read("ada")


def test_services_answer_nobody_and_have_no_limit(shelf: Shelf) -> None:
    shelf.read("service:validation", 3 * LIMIT)
    assert shelf.told("vault:plaintext:release") == ["service:validation"] * 3 * LIMIT


def test_parallel_requests_share_one_allowance(shelf: Shelf) -> None:
    outcomes: list[bool] = []

    def read() -> None:
        try:
            shelf.read("ada", 2)
        except LimitError:
            outcomes.append(False)
        else:
            outcomes.append(True)

    threads = [threading.Thread(target=read) for _ in range(LIMIT)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(outcomes) == [False] * (LIMIT // 2) + [True] * (LIMIT // 2)
    assert len(shelf.told("vault:plaintext:release")) == LIMIT


def test_counting_costs_the_same_however_much_is_released(
    shelf: Shelf, database: Engine, clock: Any
) -> None:
    sent: list[str] = []
    event.listen(database, "before_cursor_execute", lambda *told: sent.append(told[2]))

    def counted(times: int) -> int:
        sent.clear()
        shelf.read("ada", times)
        return sum("release_window" in each for each in sent)

    assert counted(1) == 3  # the first of a minute also clears what is a week old
    assert [counted(times) for times in (1, 2, 5)] == [2, 2, 2]


def test_counts_of_a_week_ago_are_gone(shelf: Shelf, clock: Any, database: Engine) -> None:
    for _ in range(3):
        shelf.read("ada")
        clock.advance(timedelta(days=8))
    shelf.read("ada")
    with database.connect() as connection:
        assert len(connection.execute(select(release_window)).all()) == 1


def test_a_reading_that_is_rolled_back_is_not_counted(shelf: Shelf) -> None:
    for _ in range(3):
        with pytest.raises(RuntimeError), shelf.sessions.transaction() as unit:
            for _ in range(LIMIT):
                shelf.vault.unseal(
                    unit, shelf.within, place=PLACE, sealed=shelf.sealed, reader="ada"
                )
            raise RuntimeError
    shelf.read("ada", LIMIT)
