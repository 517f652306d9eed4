"""What is sealed opens in its own place, with its own key, for a reader who is written down."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, update

from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.adapters.keys_file import FileKeyRing
from clearhold.kernel.errors import IntegrityError, NotFoundError
from clearhold.kernel.ids import ArtifactId, CompartmentId
from clearhold.ledger.records import leaves
from clearhold.store.database import migrate, open_engine
from clearhold.store.unit_of_work import Sessions
from clearhold.vault.service import Vault
from clearhold.vault.tables import artifact, compartment

Place = tuple[str, str, str]
PLACE: Place = ("finding", "sealed_body", "row-1")
SECRET = b"KNOWN-PLAINTEXT-quuxlib-overflow-under-embargo"

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
places = st.tuples(names, names, names)
examples = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


@pytest.fixture
def within(sessions: Sessions, vault: Vault) -> CompartmentId:
    with sessions.transaction() as unit:
        return vault.open_compartment(unit)


@pytest.fixture
def still(tmp_path: Path, clock: Any) -> Sessions:
    """One database, for properties that no database changes."""
    database = open_engine(f"sqlite:///{tmp_path / 'still' / 'clearhold.db'}")
    migrate(database)
    return Sessions(database, clock=clock, engine=MemoryEngine(clock))


@examples
@given(place=places, other=places, content=st.binary(max_size=200))
def test_a_sealed_field_opens_in_its_place_and_in_no_other(
    still: Sessions, vault: Vault, place: Place, other: Place, content: bytes
) -> None:
    with still.transaction() as unit:
        within = vault.open_compartment(unit)
        sealed = vault.seal(unit, within, place=place, content=content)
        assert vault.unseal(unit, within, place=place, sealed=sealed, reader="r") == content
        if other == place:
            return
        with pytest.raises(IntegrityError):
            vault.unseal(unit, within, place=other, sealed=sealed, reader="r")


@examples
@given(place=places, cut=st.integers(0, 11))
def test_names_that_run_together_are_still_different_places(
    still: Sessions, vault: Vault, place: Place, cut: int
) -> None:
    joined = place[0] + place[1]
    shifted = (joined[:cut], joined[cut:], place[2])
    with still.transaction() as unit:
        within = vault.open_compartment(unit)
        sealed = vault.seal(unit, within, place=place, content=SECRET)
        if shifted != place:
            with pytest.raises(IntegrityError):
                vault.unseal(unit, within, place=shifted, sealed=sealed, reader="r")


@examples
@given(
    position=st.integers(0, 10_000),
    flip=st.integers(1, 255),
    shorter=st.sampled_from(["cut off", ""]),
)
def test_a_changed_or_shortened_field_does_not_open(
    still: Sessions, vault: Vault, position: int, flip: int, shorter: object
) -> None:
    with still.transaction() as unit:
        within = vault.open_compartment(unit)
        sealed = bytearray(vault.seal(unit, within, place=PLACE, content=SECRET))
        position %= len(sealed)
        if shorter:
            del sealed[position:]
        else:
            sealed[position] ^= flip
        with pytest.raises(IntegrityError):
            vault.unseal(unit, within, place=PLACE, sealed=bytes(sealed), reader="r")


def test_a_field_of_one_compartment_does_not_open_in_another(
    sessions: Sessions, vault: Vault, within: CompartmentId
) -> None:
    with sessions.transaction() as unit:
        sealed = vault.seal(unit, within, place=PLACE, content=SECRET)
        other = vault.open_compartment(unit)
        with pytest.raises(IntegrityError):
            vault.unseal(unit, other, place=PLACE, sealed=sealed, reader="r")


def test_the_key_of_one_compartment_put_in_the_row_of_another_does_not_open(
    sessions: Sessions, vault: Vault, within: CompartmentId
) -> None:
    with sessions.transaction() as unit:
        sealed = vault.seal(unit, within, place=PLACE, content=SECRET)
        other = vault.open_compartment(unit)
        key = select(compartment.c.wrapped_key).where(compartment.c.id == within)
        moved = unit.connection.execute(key).scalar_one()
        unit.connection.execute(
            update(compartment).where(compartment.c.id == other).values(wrapped_key=moved)
        )
        with pytest.raises(IntegrityError):
            vault.unseal(unit, other, place=PLACE, sealed=sealed, reader="r")


def test_the_same_content_never_looks_the_same_twice(
    sessions: Sessions, vault: Vault, within: CompartmentId
) -> None:
    with sessions.transaction() as unit:
        made = {vault.seal(unit, within, place=PLACE, content=b"yes") for _ in range(50)}
    assert len(made) == 50


def test_a_destroyed_compartment_never_opens_again(
    sessions: Sessions, vault: Vault, within: CompartmentId
) -> None:
    with sessions.transaction() as unit:
        sealed = vault.seal(unit, within, place=PLACE, content=SECRET)
        kept = vault.store(unit, within, content=SECRET, media_type="text/plain")
        vault.destroy(unit, within, actor="coordinator")
    with sessions.transaction() as unit:
        with pytest.raises(IntegrityError, match="expunged"):
            vault.unseal(unit, within, place=PLACE, sealed=sealed, reader="r")
        with pytest.raises(IntegrityError, match="expunged"):
            vault.fetch(unit, kept, reader="r")
        with pytest.raises(IntegrityError, match="expunged"):
            vault.seal(unit, within, place=PLACE, content=b"more")
        told = list(leaves(unit.connection, compartments=[within]))
    assert [leaf.action for leaf in told] == ["vault:compartment:destroy"]


def test_every_release_is_in_the_ledger_and_no_refusal_is_taken_for_one(
    sessions: Sessions, vault: Vault, within: CompartmentId
) -> None:
    with sessions.transaction() as unit:
        sealed = vault.seal(unit, within, place=PLACE, content=SECRET)
        kept = vault.store(unit, within, content=SECRET, media_type="text/plain")
        for reader in ("ada", "grace"):
            vault.unseal(unit, within, place=PLACE, sealed=sealed, reader=reader)
            assert vault.fetch(unit, kept, reader=reader) == SECRET
        with pytest.raises(IntegrityError):
            vault.unseal(unit, within, place=PLACE, sealed=sealed[:-1], reader="mallory")
    with sessions.transaction() as unit:
        told = [
            (leaf.actor, leaf.subject, leaf.compartment, leaf.detail)
            for leaf in leaves(unit.connection)
        ]
    body = {"table": "finding", "column": "sealed_body"}
    content = {"table": "artifact", "column": "content"}
    assert told == [
        ("ada", "row-1", within, body),
        ("ada", kept, within, content),
        ("grace", "row-1", within, body),
        ("grace", kept, within, content),
    ]


def test_a_reading_that_is_rolled_back_gave_nothing_and_says_nothing(
    sessions: Sessions, vault: Vault, within: CompartmentId
) -> None:
    with sessions.transaction() as unit:
        sealed = vault.seal(unit, within, place=PLACE, content=SECRET)
    with pytest.raises(RuntimeError), sessions.transaction() as unit:
        vault.unseal(unit, within, place=PLACE, sealed=sealed, reader="ada")
        raise RuntimeError
    with sessions.transaction() as unit:
        assert list(leaves(unit.connection)) == []


def test_artefacts_that_changed_places_or_bytes_or_are_gone_do_not_open(
    sessions: Sessions, vault: Vault, within: CompartmentId, tmp_path: Path
) -> None:
    with sessions.transaction() as unit:
        one = vault.store(unit, within, content=SECRET, media_type="text/plain")
        two = vault.store(unit, within, content=b"another", media_type="text/plain")
        stored = dict(unit.connection.execute(select(artifact.c.id, artifact.c.stored_as)).all())
        with pytest.raises(NotFoundError):
            vault.fetch(unit, ArtifactId("no-such-artefact"), reader="r")
    file = tmp_path / "data" / "blobs" / stored[two][:2] / stored[two]
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with sessions.transaction() as unit, pytest.raises(IntegrityError, match="changed on disk"):
        vault.fetch(unit, two, reader="r")
    file.unlink()
    with sessions.transaction() as unit, pytest.raises(IntegrityError, match="missing"):
        vault.fetch(unit, two, reader="r")
    with sessions.transaction() as unit:
        unit.connection.execute(
            update(artifact).where(artifact.c.id == two).values(stored_as=stored[one])
        )
        with pytest.raises(IntegrityError, match="changed or moved"):
            vault.fetch(unit, two, reader="r")
        assert vault.fetch(unit, one, reader="r") == SECRET


def test_a_stolen_data_directory_holds_no_byte_of_what_was_sealed(
    sessions: Sessions, vault: Vault, within: CompartmentId, tmp_path: Path, database: Engine
) -> None:
    with sessions.transaction() as unit:
        vault.store(unit, within, content=SECRET * 100, media_type="text/plain")
        sealed = vault.seal(unit, within, place=PLACE, content=SECRET)
        vault.unseal(unit, within, place=PLACE, sealed=sealed, reader="ada")
        rows = [
            repr(tuple(row)).encode()
            for table in (compartment, artifact)
            for row in unit.connection.execute(select(table))
        ]
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert files
    if database.dialect.name == "sqlite":
        assert {path.name for path in files} >= {"clearhold.db", "clearhold.db-wal"}
    for taken in (*rows, *(path.read_bytes() for path in files)):
        assert SECRET[:12] not in taken


def test_another_machines_ring_opens_nothing(
    sessions: Sessions, vault: Vault, within: CompartmentId, tmp_path: Path
) -> None:
    thief = FileKeyRing(tmp_path / "elsewhere" / "ring.json", data_directory=tmp_path / "data")
    stolen = Vault(thief, vault._blobs)
    with sessions.transaction() as unit:
        sealed = vault.seal(unit, within, place=PLACE, content=SECRET)
        with pytest.raises(IntegrityError) as told:
            stolen.unseal(unit, within, place=PLACE, sealed=sealed, reader="thief")
    assert "key ring" in told.value.next_step
    assert stolen.matching_hash("frame", "f") != vault.matching_hash("frame", "f")


def test_index_values_match_only_within_their_kind(vault: Vault) -> None:
    assert vault.matching_hash("frame", "main") == vault.matching_hash("frame", "main")
    assert vault.matching_hash("frame", "main") != vault.matching_hash("package", "main")
    assert b"main" not in vault.matching_hash("frame", "main")


def test_a_wrapped_key_under_another_name_or_altered_does_not_open(ring: FileKeyRing) -> None:
    wrapped = ring.wrap(bytes(32), context=b"one")
    assert ring.unwrap(wrapped, context=b"one") == bytes(32)
    altered = wrapped.ciphertext[:-1] + bytes([wrapped.ciphertext[-1] ^ 1])
    for each, context in (
        (wrapped, b"two"),
        (replace(wrapped, kek="kek-unknown"), b"one"),
        (replace(wrapped, ciphertext=altered), b"one"),
        (replace(wrapped, ciphertext=b""), b"one"),
        (replace(wrapped, ciphertext=wrapped.ciphertext[:13]), b"one"),
    ):
        with pytest.raises(IntegrityError):
            ring.unwrap(each, context=context)
