"""An expunged case is as if it had never been, and nothing else is touched."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from case_scene import SECRETS, Scene
from sqlalchemy import Engine, select

from clearhold.access.model import Actor
from clearhold.adapters.keys_file import FileKeyRing
from clearhold.findings.intake import Format
from clearhold.findings.tables import match_key
from clearhold.kernel.errors import DeniedError, IntegrityError, NotFoundError
from clearhold.kernel.ids import CaseId, FindingId, VulnerabilityId
from clearhold.ledger.records import leaves
from clearhold.ports.keys import WrappedKey
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.vault.tables import compartment


def agreed(unit: UnitOfWork, act: str, subject: str) -> None:
    """A guard that two people have satisfied."""


def keys_of(database: Engine) -> dict[str, WrappedKey]:
    with database.connect() as connection:
        rows = connection.execute(select(compartment)).all()
    return {row.id: WrappedKey(row.kek, row.wrapped_key) for row in rows if row.wrapped_key}


def test_an_expunged_case_is_answered_like_one_that_never_was(scene: Scene) -> None:
    hub = scene.hub
    scene.read_in_maintainer()
    done = hub.expunging.expunge(scene.case, agreed, by="two people")
    assert done.keys == 5  # the case, two findings, and the submissions that brought them
    absent = CaseId(str(uuid.uuid4()))
    for actor in (scene.coordinator, scene.maintainer, scene.lab, scene.finder):
        assert hub.cases.list(actor) == ((), "")
        told = set()
        for case in (scene.case, absent):
            with pytest.raises(NotFoundError) as raised:
                hub.cases.get(actor, case)
            told.add(raised.value.message)
        assert len(told) == 1
    for actor, finding in zip((scene.lab, scene.finder), scene.findings, strict=True):
        assert hub.findings.list(actor) == ()
        with pytest.raises(NotFoundError):
            hub.findings.get(actor, finding)
    hub.findings.queue(scene.coordinator)


def test_no_copy_taken_before_opens_it_and_every_other_case_still_opens(
    scene: Scene,
    submit: Callable[..., FindingId],
    reproduced: Callable[[FindingId], None],
    database: Engine,
    tmp_path: Path,
) -> None:
    hub = scene.hub
    safe = tmp_path / "safe.json"
    hub.keeping.back_up(safe, agreed, by="two people")
    survivor = submit(scene.lab, title="another flaw", proof=b"another proof")
    reproduced(survivor)
    opened = hub.cases.open(scene.coordinator, VulnerabilityId(survivor), title="Another", key="k2")
    with hub.sessions.transaction() as unit:
        doomed = {hub.findings.head(unit, each).compartment for each in scene.findings}
    copies = [keys_of(database)]
    hub.keeping.rotate(agreed, by="two people")
    copies.append(keys_of(database))
    blobs = {path for path in (tmp_path / "data" / "artefacts").rglob("*") if path.is_file()}
    hub.expunging.expunge(scene.case, agreed, by="two people")
    left = {path for path in (tmp_path / "data" / "artefacts").rglob("*") if path.is_file()}
    assert len(blobs - left) == 4  # two submissions as they came, two proofs
    for path in (tmp_path / "keys" / "ring.json", safe):
        ring = FileKeyRing(path, data_directory=tmp_path / "data")
        for copy in copies:
            for within in doomed:
                for name in (copy[within].kek, *ring.generations()):
                    with pytest.raises(IntegrityError):
                        ring.unwrap(replace(copy[within], kek=name), context=within.encode())
        for within, wrapped in keys_of(database).items():
            assert len(ring.unwrap(wrapped, context=within.encode())) == 32
    assert hub.cases.get(scene.coordinator, opened.id).title == "Another"
    assert hub.findings.proof(scene.lab, survivor) == b"another proof"


def test_a_finding_of_another_case_survives_the_submission_it_came_in(
    scene: Scene, reproduced: Callable[[FindingId], None]
) -> None:
    hub = scene.hub
    results = [
        {"message": {"text": f"bug {number}"}, "ruleId": f"r{number}"} for number in range(2)
    ]
    log = {"version": "2.1.0", "runs": [{"tool": {"driver": {}}, "results": results}]}
    receipt = hub.findings.submit(
        scene.lab,
        json.dumps(log).encode(),
        form=Format.SARIF,
        package="pkg:pypi/otherlib@1.0",
        key="sarif",
    )
    first, second = (FindingId(each.finding) for each in receipt.findings)
    reproduced(first)
    case = hub.cases.open(scene.coordinator, VulnerabilityId(first), title="One", key="k3")
    hub.expunging.expunge(case.id, agreed, by="two people")
    assert hub.findings.get(scene.lab, second).body is not None
    with pytest.raises(NotFoundError):
        hub.findings.raw(scene.lab, receipt.submission)


def test_expunging_takes_a_second_person_and_is_begun_once(scene: Scene) -> None:
    asked: list[tuple[str, str]] = []

    def alone(unit: UnitOfWork, act: str, subject: str) -> None:
        asked.append((act, subject))
        raise DeniedError("This takes two.")

    with pytest.raises(DeniedError):
        scene.hub.expunging.expunge(scene.case, alone, by="one person")
    assert asked == [("expunge", scene.case)]
    assert scene.hub.cases.get(scene.lab, scene.case).id == scene.case
    scene.hub.expunging.expunge(scene.case, agreed, by="two people")
    scene.hub.expunging.expunge(scene.case, alone, by="one person")
    assert len(asked) == 1
    with pytest.raises(NotFoundError):
        scene.hub.expunging.expunge(CaseId("never-was"), agreed, by="two people")


def test_what_was_begun_before_a_crash_is_finished_without_asking_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(type(scene.hub.keeping), "finish", lambda _self: None)
        scene.hub.expunging.expunge(scene.case, agreed, by="two people")
    assert len(scene.hub.keeping.status().wrapped) == 1
    before = scene.hub.keeping.status().current
    scene.hub.expunging.expunge(scene.case, never, by="anybody")
    assert scene.hub.keeping.status().running is None
    assert before not in scene.hub.keeping.status().wrapped


def never(unit: UnitOfWork, act: str, subject: str) -> None:
    raise AssertionError(act)


def test_the_ledger_keeps_who_destroyed_what_and_the_index_forgets_it(
    scene: Scene, database: Engine
) -> None:
    scene.hub.expunging.expunge(scene.case, agreed, by="ada and grace")
    with database.connect() as connection:
        told = [leaf for leaf in leaves(connection) if leaf.action == "vault:compartment:destroy"]
        assert {leaf.actor for leaf in told} == {"ada and grace"}
        assert len(told) == 5
        keys = select(match_key).where(match_key.c.finding.in_(scene.findings))
        assert connection.execute(keys).all() == []


def test_nothing_of_it_stands_in_the_data_directory(scene: Scene, tmp_path: Path) -> None:
    scene.hub.expunging.expunge(scene.case, agreed, by="two people")
    held = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    for secret in SECRETS:
        assert secret.encode() not in held
        assert base64.b64encode(secret.encode())[:8] not in held


def test_the_same_bug_can_be_reported_anew(
    scene: Scene, submit: Callable[..., FindingId], party_of: Callable[..., Actor]
) -> None:
    scene.hub.expunging.expunge(scene.case, agreed, by="two people")
    again = submit(scene.finder)
    view = scene.hub.findings.get(scene.finder, again)
    assert view.body is not None
    assert view.body.title == "Overflow-in-quux"
