"""Which releases a reproduced proof shows its flaw on: asked once, kept signed, told to readers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from standing_examiner import Desk, StandIn, examined, replayed

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.delivery.cli.advisory import proposed_ranges
from clearhold.findings import observed
from clearhold.kernel.errors import (
    ConflictError,
    IntegrityError,
    NotFoundError,
    UnavailableError,
)
from clearhold.kernel.ids import FindingId
from clearhold.ledger.audit import verify
from clearhold.ledger.records import leaves
from clearhold.validation import affecting
from clearhold.validation.affected import PREDICATE_TYPE, ranges
from clearhold.validation.affecting import AffectedVersions
from clearhold.validation.bisection import Answer, search
from clearhold.validation.examiner import Report
from clearhold.validation.jobs import KnownWorker, WorkerIdentity, run_step, send_replay
from clearhold.validation.recipe import Side, SideSource, Source, load
from clearhold.validation.releases import Listed, listed, published_releases
from clearhold.validation.tables import validation
from clearhold.validation.verdict import Claim, VerdictKind
from clearhold.wire import dsse

PROCESS = Path(__file__).with_name("affected_process.py")
ACTION = "validation:validation:affected"


@pytest.fixture
def service(desk: Desk) -> AffectedVersions:
    made = AffectedVersions(
        desk.hub.sessions,
        desk.hub.vault,
        desk.hub.findings,
        examiner=desk.examiner,
        signing_key=desk.key,
        builds=7,
    )
    desk.engine.register(affecting.RUN, lambda ids: made.run(FindingId(ids["finding"])))
    desk.engine.register(
        "on:validation.decided",
        lambda ids: made.queue(FindingId(ids["finding"]), key=ids["validation"]),
    )
    return made


def told(desk: Desk) -> int:
    with desk.hub.sessions.transaction() as unit:
        assert verify(unit.connection).intact
        return sum(leaf.action == ACTION for leaf in leaves(unit.connection))


def test_a_reproduced_proof_is_replayed_once_and_the_evidence_is_signed(
    desk: Desk, service: AffectedVersions
) -> None:
    lab, _ = desk.labs
    desk.examiner.replayed[b"PROOF"] = replayed(b"PROOF")
    finding = desk.submit(lab, b"PROOF")
    with pytest.raises(NotFoundError):
        service.evidence(lab, finding)
    desk.engine.run_due()
    payload = dsse.verify(
        service.evidence(lab, finding), {"hub": desk.key.public_key()}, dsse.IN_TOTO
    )
    assert dsse.read_statement(payload, PREDICATE_TYPE).predicate["ranges"]
    summary = desk.service.of_finding(lab, finding).summary
    assert summary is not None
    assert summary["affected"]["first_bad"] == "1.1"
    desk.examiner.replayed[b"PROOF"] = UnavailableError("asked again", next_step="")
    service.run(finding)
    assert told(desk) == 1
    with desk.hub.sessions.transaction() as unit:
        rows = repr(unit.connection.execute(select(validation)).all())
        assert set(observed.known(unit, [finding])[finding]) == {"introduced"}
    assert "first_bad" not in rows


def test_what_did_not_reproduce_or_cannot_be_replayed_has_no_evidence(
    desk: Desk, service: AffectedVersions, party_of: Callable[..., Actor]
) -> None:
    lab, rival = desk.labs
    desk.examiner.verdicts[b"REFUSED"] = examined(VerdictKind.NOT_REPRODUCED)
    desk.examiner.replayed[b"REFUSED"] = replayed(b"REFUSED")
    refused, silent = desk.submit(lab, b"REFUSED"), desk.submit(lab, b"SILENT")
    desk.engine.run_due()
    service.run(refused)
    for finding in (refused, silent):
        with pytest.raises(ConflictError):
            service.evidence(lab, finding)
    for actor in (rival, party_of(PartyKind.MAINTAINER)):
        with pytest.raises(NotFoundError):
            service.evidence(actor, silent)
    assert told(desk) == 0


def test_a_registry_that_does_not_answer_leaves_the_question_open(
    desk: Desk, service: AffectedVersions
) -> None:
    lab, _ = desk.labs
    desk.examiner.replayed[b"PROOF"] = UnavailableError("No index.", next_step="Wait.")
    finding = desk.submit(lab, b"PROOF")
    with pytest.raises(UnavailableError):
        desk.engine.run_due()
    desk.examiner.replayed[b"PROOF"] = replayed(b"PROOF")
    desk.engine.run_due()
    assert service.evidence(lab, finding)
    assert told(desk) == 1


def test_with_no_builds_nothing_is_queued(desk: Desk) -> None:
    finding = desk.submit(desk.labs[0], b"PROOF")
    desk.engine.run_due()
    never = AffectedVersions(
        desk.hub.sessions,
        desk.hub.vault,
        desk.hub.findings,
        examiner=desk.examiner,
        signing_key=desk.key,
        builds=0,
    )
    never.queue(finding, key="k")
    desk.engine.run_due()  # an unknown flow would be an error


def test_a_replay_cut_off_by_kill_9_is_taken_up_and_kept_once(
    desk: Desk, service: AffectedVersions, database_url: str, tmp_path: Path
) -> None:
    lab, _ = desk.labs
    finding = desk.submit(lab, b"PROOF")
    desk.engine.run_due()
    assert told(desk) == 0

    def begin(seconds: str, *actions: str) -> subprocess.Popen[str]:
        words = [sys.executable, str(PROCESS), database_url, str(tmp_path), finding, seconds]
        return subprocess.Popen([*words, *actions], text=True, stdout=subprocess.PIPE)

    with begin("600", "queue") as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "begun\n"
        first.send_signal(signal.SIGKILL)
    assert told(desk) == 0
    with pytest.raises(ConflictError):
        service.evidence(lab, finding)
    with begin("0") as second:
        said, _ = second.communicate(timeout=180)
        assert (second.returncode, said) == (0, "begun\n")
    assert told(desk) == 1
    assert service.evidence(lab, finding)


def test_a_worker_replays_and_its_evidence_is_about_the_proof_that_was_sent() -> None:
    held = WorkerIdentity(Ed25519PrivateKey.generate(), pyrage.x25519.Identity.generate())
    known = [KnownWorker("first", held.key.public_key(), str(held.opener.to_public()))]
    examiner = StandIn(replayed={b"PROOF": replayed(b"PROOF")})
    report = Report("pkg:pypi/quuxlib", "encode", b"PROOF", Claim("", "1.0"))
    sent = send_replay(report, known, builds=7)
    assert sent.affecting(run_step(sent.sealed, examiner, held), known) == replayed(b"PROOF")
    examiner.replayed[b"PROOF"] = replayed(b"ANOTHER")
    with pytest.raises(IntegrityError, match="another proof"):
        sent.affecting(run_step(sent.sealed, examiner, held), known)
    examiner.replayed[b"PROOF"] = UnavailableError("No index.", next_step="Wait.")
    with pytest.raises(UnavailableError):
        sent.affecting(run_step(sent.sealed, examiner, held), known)


@given(st.lists(st.sampled_from(list(Answer)), min_size=1, max_size=30))
def test_ranges_say_of_every_release_what_it_said(answers: list[Answer]) -> None:
    releases = [str(at) for at in range(len(answers))]
    found = search(releases, lambda each: answers[int(each)], cheap=30)
    stated = ranges(found.stretches, releases)
    for at, answer in enumerate(answers):
        inside = [
            each
            for each in stated
            if int(each["introduced"]) <= at
            and (at < int(each["fixed"]) if "fixed" in each else at <= int(each["last_affected"]))
        ]
        if answer is not Answer.SKIP:
            assert bool(inside) is (answer is Answer.BAD)
    json.dumps(stated)


@given(st.sets(st.sampled_from(["0.9", "1.0", "5.0.0", "5.1.0", "5.2.0", "6.1.0", "no version"])))
def test_listed_releases_come_in_order_with_the_recipes_own_as_it_pins_them(
    versions: set[str],
) -> None:
    recipe = load("ujson")
    published = {each: (f"pypi:ujson=={each}:ujson-{each}.tar.gz",) for each in versions}
    found = listed(recipe, published)
    names = [each.version for each in found]
    assert set(names) == (versions - {"no version"}) | {"5.1.0", "5.4.0"}
    assert names == sorted(names, key=lambda each: [int(part) for part in each.split(".")])
    own = {each.version for each in found if isinstance(each, SideSource)}
    assert own == {"5.1.0", "5.4.0"}


def test_debian_releases_are_laid_out_like_the_recipes_own() -> None:
    recipe = load("cjson")
    files = ("cjson_1.7.19.orig.tar.gz", "cjson_1.7.19-3.debian.tar.xz", "cjson_1.7.19-3.dsc")
    published = {
        "1.7.19-3": tuple(f"debian:cjson=1.7.19-3:{each}" for each in files),
        "1.7.20-1": ("debian:cjson=1.7.20-1:cjson_1.7.20-1.dsc",),
    }
    *_, newest = listed(recipe, published)
    assert newest == Listed(
        "1.7.19-3",
        (
            Source("debian:cjson=1.7.19-3:cjson_1.7.19.orig.tar.gz", ""),
            Source("debian:cjson=1.7.19-3:cjson_1.7.19-3.debian.tar.xz", "", "debian"),
        ),
        "debian/patches/series",
    )


def test_a_draft_is_proposed_only_what_all_findings_of_a_case_show() -> None:
    one = {"ranges": [{"introduced": "1.1", "fixed": "2.0", "unsure": ["1.0"]}], "all_asked": True}
    same = {"ranges": [{"introduced": "1.1", "fixed": "2.0", "unsure": []}], "all_asked": False}
    other = {"ranges": [{"introduced": "0", "fixed": "2.0", "unsure": []}], "all_asked": True}
    told = proposed_ranges({"a": one, "b": same, "c": None})
    assert told["ranges"] == [{"introduced": "1.1", "fixed": "2.0"}]
    assert told["could_not_be_asked"] == {"a": ["1.0"], "b": []}
    assert (told["agree"], told["all_releases_asked"], told["not_replayed"]) == (True, False, ["c"])
    apart = proposed_ranges({"a": one, "c": other})
    assert (apart["agree"], apart["ranges"]) == (False, [])
    assert proposed_ranges({"a": None})["ranges"] == proposed_ranges({})["ranges"] == []


def test_what_a_release_needs_beside_itself_stays_as_it_is_pinned() -> None:
    recipe = load("minimist")
    needed = Source("npm:@scope/needed@1.0.0", "a" * 64, "node_modules/@scope/needed")
    sides = {
        name: SideSource(side.version, (*side.sources, needed))
        for name, side in recipe.sides.items()
    }
    with_needed = replace(recipe, sides=sides)
    published = {"1.2.4": ("npm:minimist@1.2.4",), "1.2.2": ("npm:minimist@1.2.2",)}
    assert listed(with_needed, published) == (
        sides[Side.VULNERABLE],
        Listed("1.2.4", (Source("npm:minimist@1.2.4", ""), needed)),
        sides[Side.FIXED],
    )
    assert len(listed(recipe, {"9.9.9": ("npm:another@9.9.9",), "8.8.8": ()})) == 2


class Lists:
    def __init__(self, answer: dict[str, tuple[str, ...]] | Exception) -> None:
        self.answer = answer

    def releases(self, package: str) -> dict[str, tuple[str, ...]]:
        assert package == "pkg:pypi/ujson"
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_what_no_registry_knows_is_replayed_over_the_recipes_own_two() -> None:
    recipe = load("ujson")
    lists: Any
    for lists in (None, Lists({}), Lists(NotFoundError("none"))):
        found, by = published_releases(recipe, lists)
        assert ([each.version for each in found], by) == (["5.1.0", "5.4.0"], "recipe")
    with pytest.raises(UnavailableError):
        published_releases(recipe, Lists(UnavailableError("gone", next_step="")))
    without = replace(recipe, package="pkg:generic/ujson")
    assert published_releases(without, None)[1] == "recipe"
