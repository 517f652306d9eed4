"""An inventory is its operator's alone, and is matched without anybody noticing."""

from __future__ import annotations

import json
import threading
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from clearhold.access.permissions import PartyKind
from clearhold.inventory import records
from clearhold.inventory.model import AssetProfile, Exposure, Inventory, Known, MissionImpact
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    DeniedError,
    InvalidError,
    NotFoundError,
)
from clearhold.kernel.ids import InventoryId
from clearhold.ledger import records as ledger
from publication_road import Road, sbom, upload

PROFILE = AssetProfile(exposure=Exposure.OPEN, mission_impact=MissionImpact.MISSION_FAILURE)


def test_an_operator_sees_what_they_uploaded(road: Road) -> None:
    operator = road.party(PartyKind.OPERATOR, "utility")
    made = road.inventories.upload(
        operator,
        name="pumps",
        document=sbom("pkg:pypi/ujson@5.1.0", "pkg:pypi/requests@2.31.0"),
        profile=PROFILE,
        key="k",
    )
    assert (made.name, made.revision, made.components) == ("pumps", 1, 2)
    assert made.profile == PROFILE
    assert made.profile.publicly_exposed is Known.UNKNOWN
    assert road.inventories.list(operator) == (made,)
    assert road.inventories.get(operator, made.id) == made


def test_a_new_upload_of_the_same_name_is_a_new_revision(road: Road) -> None:
    operator = road.party(PartyKind.OPERATOR, "utility")
    upload(road, operator, "pkg:pypi/ujson@5.1.0")
    upload(road, operator, "pkg:pypi/ujson@5.4.0", "pkg:pypi/idna@3.7")
    (only,) = road.inventories.list(operator)
    assert (only.revision, only.components) == (2, 2)


def test_the_same_key_makes_one_revision_and_never_two_meanings(road: Road) -> None:
    operator = road.party(PartyKind.OPERATOR, "utility")

    def send(*purls: str) -> Inventory:
        return road.inventories.upload(
            operator, name="pumps", document=sbom(*purls), profile=PROFILE, key="once"
        )

    assert send("pkg:pypi/ujson@5.1.0") == send("pkg:pypi/ujson@5.1.0")
    with pytest.raises(ConflictError):
        send("pkg:pypi/ujson@5.4.0")
    (only,) = road.inventories.list(operator)
    assert only.revision == 1


def test_uploads_racing_under_one_name_become_revisions_in_a_row(road: Road) -> None:
    operator = road.party(PartyKind.OPERATOR, "utility")
    failures: list[Exception] = []

    def send() -> None:
        try:
            upload(road, operator, "pkg:pypi/ujson@5.1.0")
        except Exception as error:  # noqa: BLE001 # whatever it is, the test must show it
            failures.append(error)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    (only,) = road.inventories.list(operator)
    assert only.revision == 4


def test_an_inventory_is_absent_to_everybody_but_its_operator(road: Road) -> None:
    operator = road.party(PartyKind.OPERATOR, "utility")
    upload(road, operator, "pkg:pypi/ujson@5.1.0")
    (mine,) = road.inventories.list(operator)
    bank = road.party(PartyKind.OPERATOR, "bank")
    assert road.inventories.list(bank) == ()
    answers = []
    for identity in (mine.id, InventoryId(str(uuid.uuid4()))):
        with pytest.raises(NotFoundError) as caught:
            road.inventories.get(bank, identity)
        answers.append((caught.value.message, caught.value.next_step))
    assert answers[0] == answers[1]
    with pytest.raises(DeniedError):
        road.inventories.list(road.coordinator)


def test_a_component_that_cannot_be_matched_is_shown_with_the_reason(road: Road) -> None:
    operator = road.party(PartyKind.OPERATOR, "utility")
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "components": [
            {"type": "library", "name": "ujson", "version": "5.1.0"},
            {"type": "library", "name": "idna", "version": "3", "purl": "pkg:pypi/idna@3"},
        ],
    }
    made = road.inventories.upload(
        operator, name="x", document=json.dumps(document).encode(), profile=PROFILE, key="k"
    )
    assert made.components == 1
    assert [(each.name, each.reason) for each in made.left_out] == [
        ("ujson", "The library component has no purl.")
    ]


DECEIVING: list[str] = ["", " ", "a" * 81, "pumps\n", "pu\x1b[2Jmps", "\u202epumps"]


def test_a_name_that_could_deceive_is_refused(road: Road, subtests: pytest.Subtests) -> None:
    operator = road.party(PartyKind.OPERATOR, "utility")
    for name in DECEIVING:
        with subtests.test(name=name), pytest.raises(InvalidError, match="name"):
            road.inventories.upload(operator, name=name, document=sbom(), profile=PROFILE, key="k")


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    document=st.binary(max_size=200)
    | st.recursive(
        st.none() | st.text(max_size=8) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["bomFormat", "specVersion", "components", "purl", "name"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=10,
    ).map(lambda value: json.dumps(value).encode())
)
def test_what_is_no_inventory_is_refused_in_plain_words_and_leaves_nothing(
    road: Road, document: bytes
) -> None:
    operator = road.party(PartyKind.OPERATOR, f"utility-{uuid.uuid4().hex[:8]}")
    with pytest.raises(ClearholdError) as caught:
        road.inventories.upload(operator, name="x", document=document, profile=PROFILE, key="k")
    assert caught.value.next_step
    assert road.inventories.list(operator) == ()


def test_nothing_of_an_inventory_stands_in_the_database_in_the_clear(road: Road) -> None:
    operator = road.party(PartyKind.OPERATOR, "utility")
    upload(road, operator, "pkg:pypi/ujson@5.1.0", name="pump station 7")
    everything = b""
    with road.sessions.transaction() as unit:
        tables = ("inventory", "inventory_revision", "inventory_package", "ledger_leaf", "artifact")
        for table in tables:
            for row in unit.connection.execute(text(f"SELECT * FROM {table}")):  # noqa: S608 # names above
                everything += b"".join(
                    bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
                    for value in row
                )
    assert b"ujson" not in everything
    assert b"pump station" not in everything


def test_looking_for_candidates_and_opening_them_leaves_their_operators_ledger_alone(
    road: Road,
) -> None:
    operator = road.party(PartyKind.OPERATOR, "utility")
    upload(road, operator, "pkg:pypi/ujson@5.1.0")
    (mine,) = road.inventories.list(operator)
    with road.sessions.transaction() as unit:
        within = records.compartment_of(unit, mine.id)
        before = tuple(ledger.leaves(unit.connection, compartments=[within]))
        everywhere = len(tuple(ledger.leaves(unit.connection)))
        (found,) = road.inventories.candidates(unit, ["pkg:pypi/ujson"])
        holding = road.inventories.open_for_matching(unit, found, reader="service:test")
        assert holding.coordinates == ("pkg:pypi/ujson@5.1.0",)
        assert road.inventories.candidates(unit, ["pkg:pypi/requests"]) == ()
    with road.sessions.transaction() as unit:
        assert tuple(ledger.leaves(unit.connection, compartments=[within])) == before
        assert len(tuple(ledger.leaves(unit.connection))) == everywhere + 1
