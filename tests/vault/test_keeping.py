"""Keys rotate and are destroyed whole, whatever happens to the process; content stays as it is."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from soft_token import empty_token, token_ring
from sqlalchemy import Engine, event, select

from clearhold.adapters import keys_file
from clearhold.adapters.blobs_local import LocalBlobs
from clearhold.adapters.clock_system import SystemClock
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.adapters.keys_file import FileKeyRing
from clearhold.kernel.errors import (
    ConflictError,
    DeniedError,
    IntegrityError,
    UnavailableError,
)
from clearhold.kernel.ids import ArtifactId, CompartmentId
from clearhold.ledger.records import leaves
from clearhold.ports.keys import KeyRing
from clearhold.store.database import open_engine
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault import keeping as keeping_module
from clearhold.vault.keeping import KeyKeeping
from clearhold.vault.records import ChangeKind
from clearhold.vault.service import Vault
from clearhold.vault.tables import artifact, compartment

SECRET = b"KNOWN-PLAINTEXT-quuxlib"
PLACE = ("finding", "body", "row")


def agreed(unit: UnitOfWork, act: str, subject: str) -> None:
    """A guard that two people have satisfied."""


class House:
    """Everything around one database and one ring, as a process of its own would open it."""

    def __init__(self, url: str, root: Path, ring: KeyRing | None = None) -> None:
        self.root = root
        self.database: Engine = open_engine(url)
        clock = SystemClock()
        self.sessions = Sessions(self.database, clock=clock, engine=MemoryEngine(clock))
        self.ring = ring or FileKeyRing(root / "keys" / "ring.json", data_directory=root / "data")
        self.blobs = LocalBlobs(root / "data" / "blobs")
        self.vault = Vault(self.ring, self.blobs)
        self.keeping = KeyKeeping(self.sessions, self.vault, ring=self.ring, blobs=self.blobs)

    def fill(self, count: int) -> dict[CompartmentId, tuple[bytes, ArtifactId]]:
        """Compartments with one sealed field and one artefact each."""
        made = {}
        for _ in range(count):
            with self.sessions.transaction() as unit:
                within = self.vault.open_compartment(unit)
                sealed = self.vault.seal(unit, within, place=PLACE, content=SECRET)
                kept = self.vault.store(unit, within, content=SECRET, media_type="text/plain")
                made[within] = (sealed, kept)
        return made

    def opens(self, within: CompartmentId, held: tuple[bytes, ArtifactId]) -> bool:
        sealed, kept = held
        with self.sessions.transaction() as unit:
            try:
                one = self.vault.unseal(
                    unit, within, place=PLACE, sealed=sealed, reader="service:t"
                )
                other = self.vault.fetch(unit, kept, reader="service:t")
            except IntegrityError:
                return False
        return one == other == SECRET

    def expunge(self, victims: list[CompartmentId]) -> None:
        """As a case is expunged: begun once, finished however often it takes."""
        self.keeping.ready()
        with self.sessions.transaction() as unit:
            standing = unit.connection.execute(
                select(compartment.c.id).where(
                    compartment.c.id.in_(victims), compartment.c.destroyed_at.is_(None)
                )
            ).all()
            if standing:
                self.keeping.begin_expunging(unit, victims, by="two people")
        self.keeping.finish()

    def keys(self) -> dict[CompartmentId, tuple[str, bytes]]:
        """What a thief of the database has: each key as it is wrapped."""
        with self.sessions.snapshot() as connection:
            rows = connection.execute(select(compartment)).all()
        return {row.id: (row.kek, row.wrapped_key) for row in rows}


@pytest.fixture
def house(database: Engine, database_url: str, tmp_path: Path) -> Iterator[House]:
    database.dispose()
    opened = House(database_url, tmp_path)
    yield opened
    opened.database.dispose()


def test_rotation_wraps_every_key_anew_and_touches_no_content(house: House) -> None:
    made = house.fill(5)
    before, old = house.keys(), house.ring.generations()[-1]
    status = house.keeping.rotate(agreed, by="two people")
    after = house.keys()
    assert status.wrapped == {old: 0, status.current: 5}
    assert status.running is None
    for within, held in made.items():
        assert after[within][0] == status.current != before[within][0]
        assert after[within][1] != before[within][1]
        assert house.opens(within, held)
    with house.sessions.transaction() as unit:
        told = [(leaf.action, leaf.actor) for leaf in leaves(unit.connection)]
    changed = [each for each in told if each[0].startswith("vault:keys")]
    assert changed == [("vault:keys:change", "two people"), ("vault:keys:changed", "two people")]


def test_rotation_goes_through_more_keys_than_one_batch(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping_module, "BATCH", 2)
    house.fill(5)
    status = house.keeping.rotate(agreed, by="two people")
    assert status.wrapped[status.current] == 5


def test_rotation_works_with_keys_in_a_token(
    database: Engine,
    database_url: str,
    tmp_path: Path,
    pin_file: Path,
    request: pytest.FixtureRequest,
) -> None:
    database.dispose()
    empty_token()
    house = House(database_url, tmp_path, token_ring(pin_file, tmp_path / "keys"))
    request.addfinalizer(house.database.dispose)
    made = house.fill(3)
    victim, *kept = made
    old = house.ring.generations()
    house.keeping.rotate(agreed, by="two people")
    house.expunge([victim])
    assert len(house.ring.generations()) == 1
    assert old[0] not in house.ring.generations()
    assert [house.opens(each, made[each]) for each in made] == [False, *(True for _ in kept)]


def test_what_is_expunged_opens_from_no_copy_and_everything_else_stays(
    house: House, tmp_path: Path
) -> None:
    safe = tmp_path / "safe.json"
    house.keeping.back_up(safe, agreed, by="two people")
    made = house.fill(4)
    victim, *kept = made
    stolen = [house.keys()]
    house.keeping.rotate(agreed, by="two people")
    stolen.append(house.keys())
    blobs_before = set(blob_files(house))
    shutil.copytree(tmp_path / "data", tmp_path / "copied data", dirs_exist_ok=True)
    house.expunge([victim])
    stolen.append(house.keys())
    rings = [
        FileKeyRing(path, data_directory=tmp_path / "data")
        for path in (tmp_path / "keys" / "ring.json", safe)
    ]
    for ring in rings:
        for keys in stolen:
            kek, wrapped = keys[victim]
            assert kek not in ring.generations() or wrapped is None
            for name in ring.generations():
                with pytest.raises((IntegrityError, TypeError)):
                    ring.unwrap(keys_file.WrappedKey(name, wrapped), context=victim.encode())
        for within in kept:
            kek, wrapped = house.keys()[within]
            assert (
                len(ring.unwrap(keys_file.WrappedKey(kek, wrapped), context=within.encode())) == 32
            )
    assert [house.opens(each, made[each]) for each in made] == [False, True, True, True]
    assert len(blobs_before - set(blob_files(house))) == 1
    assert len(blob_files(house)) == 3


def test_an_unregistered_copy_of_the_ring_is_the_one_thing_that_undoes_it(
    house: House, tmp_path: Path
) -> None:
    made = house.fill(1)
    (victim,) = made
    kek, wrapped = house.keys()[victim]
    secretly = tmp_path / "secret copy.json"
    shutil.copy2(tmp_path / "keys" / "ring.json", secretly)
    house.expunge([victim])
    ring = FileKeyRing(secretly, data_directory=tmp_path / "data")
    assert len(ring.unwrap(keys_file.WrappedKey(kek, wrapped), context=victim.encode())) == 32


def test_while_a_backup_is_out_of_reach_nothing_is_expunged(house: House, tmp_path: Path) -> None:
    safe = tmp_path / "safe.json"
    house.keeping.back_up(safe, agreed, by="two people")
    made = house.fill(1)
    (victim,) = made
    away = safe.rename(tmp_path / "away.json")
    with pytest.raises(UnavailableError, match=r"safe\.json"):
        house.expunge([victim])
    assert house.opens(victim, made[victim])
    away.rename(safe)
    house.expunge([victim])
    assert not house.opens(victim, made[victim])


def test_retired_keys_are_destroyed_only_by_two(house: House) -> None:
    made = house.fill(2)
    house.keeping.rotate(agreed, by="two people")

    def lonely(unit: UnitOfWork, act: str, subject: str) -> None:
        raise DeniedError(f"{act} of {subject} takes two.")

    before = house.ring.generations()
    assert len(before) == 2
    with pytest.raises(DeniedError, match="key-destruction"):
        house.keeping.destroy_retired(lonely, by="one person")
    with pytest.raises(DeniedError, match="key-backup"):
        house.keeping.back_up(house.root / "copy.json", lonely, by="one person")
    assert not (house.root / "copy.json").exists()
    assert house.ring.generations() == before
    status = house.keeping.destroy_retired(agreed, by="two people")
    assert status.wrapped == {status.current: 2}
    assert all(house.opens(within, held) for within, held in made.items())


def test_two_changes_of_the_keys_do_not_run_at_once(house: House) -> None:
    with house.sessions.transaction() as unit:
        house.keeping.begin_expunging(unit, [], by="two people")
    with pytest.raises(ConflictError) as told, house.sessions.transaction() as unit:
        house.keeping.begin_expunging(unit, [], by="others")
    assert "resume" in told.value.next_step
    assert house.keeping.status().running is ChangeKind.EXPUNGE
    assert house.keeping.finish() is ChangeKind.EXPUNGE
    assert house.keeping.finish() is None


def test_a_key_wrapped_while_the_keys_rotate_is_never_lost(
    house: House, database_url: str, tmp_path: Path
) -> None:
    """Another process opens compartments all the time while keys are rotated and destroyed."""
    other = House(database_url, tmp_path)
    made: dict[CompartmentId, tuple[bytes, ArtifactId]] = {}
    stop = threading.Event()

    def submit() -> None:
        while not stop.is_set():
            made.update(other.fill(1))

    busy = threading.Thread(target=submit)
    busy.start()
    try:
        for _ in range(4):
            house.keeping.destroy_retired(agreed, by="two people")
    finally:
        stop.set()
        busy.join()
        other.database.dispose()
    assert made
    assert house.ring.generations() == (house.keeping.status().current,)
    assert all(house.opens(within, held) for within, held in made.items())


# Killed at any write.


class Deadly:
    """Counts what lasts, commits, files put in place and files removed, and kills at one of them."""

    def __init__(self, house: House, deadly: int) -> None:
        self.seen = 0
        self.deadly = deadly
        for kind in ("commit",):
            event.listen(house.database, kind, lambda _connection: self.count())
        replace, unlink = Path.replace, Path.unlink

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def around(*args: Any, **kwargs: Any) -> Any:
                self.count()
                done = call(*args, **kwargs)
                self.count()
                return done

            return around

        Path.replace = counted(replace)  # type: ignore[method-assign]
        Path.unlink = counted(unlink)  # type: ignore[method-assign]

    def count(self) -> None:
        self.seen += 1
        if self.seen == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)


def killed_at(number: int, url: str, root: Path, action: Callable[[House], object]) -> bool:
    """Do `action` in a child that is killed at its write of that number; whether it was."""
    child = os.fork()
    if child == 0:
        try:
            house = House(url, root)
            Deadly(house, number)
            action(house)
        except BaseException:  # noqa: BLE001  # a child says nothing but how it ended
            os._exit(9)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def blob_files(house: House) -> list[Path]:
    return [path for path in (house.root / "data" / "blobs").rglob("*") if path.is_file()]


def test_a_rotation_killed_at_any_write_is_finished_by_the_next(
    house: House, database_url: str, tmp_path: Path
) -> None:
    house.keeping.back_up(tmp_path / "safe.json", agreed, by="two people")
    made = house.fill(3)
    number = 1
    while killed_at(
        number, database_url, tmp_path, lambda each: each.keeping.rotate(agreed, by="two")
    ):
        assert all(house.opens(within, held) for within, held in made.items()), number
        status = house.keeping.rotate(agreed, by="two")
        assert status.wrapped[status.current] == len(made)
        assert all(house.opens(within, held) for within, held in made.items()), number
        house.database.dispose()
        number += 1
    assert number > 8


def test_an_expunging_killed_at_any_write_is_finished_by_the_next(
    house: House, database_url: str, tmp_path: Path
) -> None:
    safe = tmp_path / "safe.json"
    house.keeping.back_up(safe, agreed, by="two people")
    kept = house.fill(2)
    number = 1
    while True:
        victim, held = next(iter(house.fill(1).items()))
        stolen = house.keys()[victim]
        house.database.dispose()
        died = killed_at(
            number,
            database_url,
            tmp_path,
            lambda each, gone=victim: each.expunge([gone]),  # type: ignore[misc]
        )
        assert all(house.opens(within, each) for within, each in kept.items()), number
        house.expunge([victim])
        assert all(house.opens(within, each) for within, each in kept.items()), number
        assert not house.opens(victim, held)
        assert len(blob_files(house)) == len(kept)
        for path in (tmp_path / "keys" / "ring.json", safe):
            ring = FileKeyRing(path, data_directory=tmp_path / "data")
            assert stolen[0] not in ring.generations()
            assert len(ring.generations()) == 1
        assert {path.name for path in (tmp_path / "keys").iterdir()} == {"ring.json"}
        assert not list(tmp_path.glob("*.new"))
        with house.sessions.transaction() as unit:
            left = unit.connection.execute(
                select(artifact.c.id).where(
                    artifact.c.compartment == victim, artifact.c.removed_at.is_(None)
                )
            ).all()
        assert left == []
        if not died:
            break
        house.database.dispose()
        number += 1
    assert number > 12
