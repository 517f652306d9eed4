"""An advisory is published once, at its instant, complete and of one mind."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import text

from clearhold.access.permissions import PartyKind
from clearhold.advisories import records
from clearhold.advisories.draft import CreditGiven
from clearhold.advisories.model import CreditRole
from clearhold.advisories.records import State
from clearhold.advisories.renderings import KINDS, affected_set
from clearhold.kernel.errors import ConflictError, DeniedError, InvalidError, NotFoundError
from clearhold.kernel.matching import Range, Verdict
from clearhold.wire import bundle
from publication_road import WHEEL, Road, delivery, draft

WEEK = timedelta(days=7)


def state_of(road: Road, advisory: str) -> State:
    return road.advisories.get(road.coordinator, advisory).state


def test_nothing_is_published_before_the_embargo_ends(road: Road) -> None:
    notice = road.scheduled(road.case())
    road.clock.advance(WEEK - timedelta(microseconds=1))
    road.engine.run_due()
    assert road.publication.publish_due() == ()
    assert state_of(road, notice.id) is State.SCHEDULED
    assert road.publisher.released == {}
    assert road.feeds.csaf_index() == b""
    assert road.feeds.osv_changes() == b""


def test_everything_is_published_at_the_agreed_instant(road: Road) -> None:
    case = road.case()
    notice = road.scheduled(case)
    road.clock.advance(WEEK)
    road.engine.run_due()
    published = road.advisories.get(road.coordinator, notice.id)
    assert published.state is State.PUBLISHED
    assert published.published_at == notice.publish_at
    assert road.desk.public == [case]
    names = {f"advisories/{notice.public_id}/{kind}.json" for kind in KINDS}
    assert names < set(road.publisher.released)
    assert WHEEL in road.publisher.released.values()
    entry = bundle.read(road.publisher.released["bundles/1.json"]).advisories[0]
    assert entry.id == notice.public_id
    for target in bundle.targets_of(entry):
        assert bundle.target_of(target.path, road.publisher.released[target.path]) == target


def test_the_four_published_documents_give_one_answer(road: Road) -> None:
    notice = road.scheduled(road.case())
    road.clock.advance(WEEK)
    road.engine.run_due()
    for kind in KINDS:
        said = affected_set(
            kind, road.publisher.released[f"advisories/{notice.public_id}/{kind}.json"]
        )
        assert said.judge("pkg:pypi/ujson", "5.1.0").verdict is Verdict.AFFECTED
        assert said.judge("pkg:pypi/ujson", "5.4.0").verdict is Verdict.NOT_AFFECTED


def test_without_a_cve_id_no_cve_record_is_made_up(road: Road) -> None:
    drafted = road.drafted(road.case(), aliases=())
    preview = road.advisories.preview(road.coordinator, drafted.id)
    assert set(preview.documents) == {"csaf", "osv", "openvex"}
    assert preview.left_out == ("cve: no CVE id is assigned, and none is invented",)
    assert preview.obstacles == ()


@pytest.mark.parametrize("aliases", [("CVE-2021-45958", "CVE-2022-31116")])
def test_a_draft_that_could_never_be_published_is_refused(
    road: Road, aliases: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidError):
        road.drafted(road.case(), aliases=aliases)
    with pytest.raises(InvalidError):
        road.drafted(road.case(), ranges=(Range("5.4.0", "5.1.0"),))
    assert road.advisories.list(road.coordinator) == ()


def test_documents_that_would_contradict_the_delivery_are_not_scheduled(road: Road) -> None:
    drafted = road.drafted(road.case(), ranges=(Range("0", "6.0.0"),))
    with pytest.raises(InvalidError, match="fixed and affected"):
        road.advisories.schedule(road.coordinator, drafted.id)


def test_nobody_is_named_without_stated_consent() -> None:
    with pytest.raises(InvalidError, match="consent"):
        draft(credits=(CreditGiven("Ada", CreditRole.FINDER, " "),))


def test_scheduling_needs_evidence_a_patch_and_an_embargo(road: Road) -> None:
    weak = road.drafted(road.case(level=2))
    with pytest.raises(ConflictError, match="level 3 is needed"):
        road.advisories.schedule(road.coordinator, weak.id)
    case = road.case()
    road.desk.deliveries[case] = None
    unpatched = road.drafted(case)
    with pytest.raises(ConflictError, match="No patch was accepted"):
        road.advisories.schedule(road.coordinator, unpatched.id)
    open_case = road.drafted(road.case(embargo=None))
    with pytest.raises(ConflictError, match="No embargo"):
        road.advisories.schedule(road.coordinator, open_case.id)


def test_a_fix_never_goes_out_on_less_than_level_three_but_its_disclosure_may(road: Road) -> None:
    case = road.case(level=2, embargo=None)
    weak = road.drafted(case)
    with pytest.raises(ConflictError, match="level 3 is needed"):
        road.advisories.publish_now(road.coordinator, weak.id, reason="it leaked")
    road.desk.deliveries[case] = None
    road.advisories.publish_now(road.coordinator, weak.id, reason="it leaked")
    road.engine.run_due()
    assert state_of(road, weak.id) is State.PUBLISHED


def test_nobody_publishes_under_embargo_whatever_the_reason(road: Road) -> None:
    drafted = road.drafted(road.case())
    with pytest.raises(ConflictError, match="under embargo"):
        road.advisories.publish_now(road.coordinator, drafted.id, reason="it leaked")
    assert state_of(road, drafted.id) is State.DRAFT


def test_a_terminated_embargo_lets_a_coordinator_publish_at_once(road: Road) -> None:
    case = road.case()
    notice = road.scheduled(case)
    road.desk.change(case, embargo_ends=None)
    road.advisories.publish_now(road.coordinator, notice.id, reason="an exploit is public")
    road.engine.run_due()
    assert state_of(road, notice.id) is State.PUBLISHED
    road.clock.advance(WEEK)
    road.engine.run_due()
    assert len(road.publisher.releases) == 1


def test_an_extended_embargo_moves_publication(road: Road) -> None:
    case = road.case()
    notice = road.scheduled(case)
    ends = road.desk.files[case].embargo_ends
    assert ends is not None
    road.desk.change(case, embargo_ends=ends + WEEK)
    road.clock.advance(WEEK)
    road.engine.run_due()
    assert road.publisher.released == {}
    assert road.advisories.get(road.coordinator, notice.id).publish_at == ends + WEEK
    road.clock.advance(WEEK)
    road.engine.run_due()
    assert state_of(road, notice.id) is State.PUBLISHED


class KilledError(BaseException):
    """Stands for the process ending at this very point."""


def _die(*_: object, **__: object) -> None:
    raise KilledError


def _after(function: Callable[..., object]) -> Callable[..., None]:
    def run(*given: object, **named: object) -> None:
        function(*given, **named)
        raise KilledError

    return run


@pytest.mark.parametrize(
    "point", ["before the freeze", "in the freeze", "before the release", "after it", "in the end"]
)
def test_killed_between_any_two_steps_it_is_still_published_exactly_once(
    road: Road, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    case = road.case()
    notice = road.scheduled(case)
    road.clock.advance(WEEK)
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        match point:
            case "before the freeze":
                patch.setattr(records, "last_bundle", _die)
            case "in the freeze":
                patch.setattr(records, "add_bundle", _after(records.add_bundle))
            case "before the release":
                patch.setattr(road.publisher, "publish", _die)
            case "after it":
                patch.setattr(road.publisher, "publish", _after(road.publisher.publish))
            case _:
                patch.setattr(road.desk, "made_public", _die)
        road.publication.publish({"advisory": notice.id})
    assert road.feeds.csaf_index() == b""
    kept = dict(road.publisher.released)
    road.clock.advance(timedelta(minutes=5))
    road.engine.run_due()
    assert road.publication.publish_due() == ()
    assert state_of(road, notice.id) is State.PUBLISHED
    assert kept.items() <= road.publisher.released.items()
    assert [path for path in road.publisher.released if path.startswith("bundles/")] == [
        "bundles/1.json"
    ]
    with road.sessions.transaction() as unit:
        query = "SELECT count(*) FROM ledger_leaf WHERE action = 'advisories:advisory:publish'"
        assert unit.connection.execute(text(query)).scalar_one() == 1
    documents = road.feeds.csaf_index().decode().split()
    assert len(documents) == 1
    year, name = documents[0].split("/")
    released = road.publisher.released[f"advisories/{notice.public_id}/csaf.json"]
    assert road.feeds.csaf_document(int(year), name) == released


def test_two_advisories_of_one_instant_both_come_whole(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = road.scheduled(road.case()), road.scheduled(road.case())
    road.clock.advance(WEEK)
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(road.publisher, "publish", _die)
        road.publication.publish({"advisory": first.id})
    road.publication.publish({"advisory": second.id})
    newest = bundle.read(road.publisher.released["bundles/2.json"])
    assert {entry.id for entry in newest.advisories} == {first.public_id, second.public_id}
    wanted = {target.path for entry in newest.advisories for target in bundle.targets_of(entry)}
    assert wanted <= set(road.publisher.released)
    road.engine.run_due()
    assert state_of(road, first.id) is State.PUBLISHED


def test_one_that_cannot_be_published_keeps_no_other_back(road: Road) -> None:
    spoilt, sound = road.case(), road.case()
    first, second = road.scheduled(spoilt), road.scheduled(sound)
    road.desk.deliveries[spoilt] = delivery("5.1.0")
    road.clock.advance(WEEK)
    (trouble,) = road.publication.publish_due()
    assert first.id in trouble
    assert state_of(road, second.id) is State.PUBLISHED


def test_a_fix_that_no_longer_holds_stops_the_clock_until_somebody_decides(road: Road) -> None:
    case = road.case()
    notice = road.scheduled(case)
    road.desk.deliveries[case] = None
    road.clock.advance(WEEK)
    (trouble,) = road.publication.publish_due()
    assert "delivers no fix" in trouble
    assert road.publisher.released == {}
    road.desk.change(case, embargo_ends=None)
    road.advisories.publish_now(road.coordinator, notice.id, reason="waiting helps nobody")
    assert road.publication.publish_due() == ()
    assert state_of(road, notice.id) is State.PUBLISHED


def test_the_sweep_publishes_what_was_missed_and_comes_back_every_hour(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(road.engine, "enqueue", lambda *_, **__: lambda: None)
        notice = road.scheduled(road.case())
    for _ in range(2):
        road.publication.begin_sweeping()
    road.engine.run_due()
    assert len(road.publisher.refreshed) == 1
    road.clock.advance(WEEK)
    road.engine.run_due()
    assert state_of(road, notice.id) is State.PUBLISHED
    road.clock.advance(timedelta(hours=1))
    road.engine.run_due()
    assert len(road.publisher.refreshed) == 3


def test_a_repeated_draft_is_one_draft_and_another_body_is_refused(road: Road) -> None:
    case = road.case()
    once = road.advisories.draft(road.coordinator, case, draft(), key="k")
    assert road.advisories.draft(road.coordinator, case, draft(), key="k") == once
    with pytest.raises(ConflictError):
        road.advisories.draft(road.coordinator, case, draft(title="Another"), key="k")


def test_a_draft_can_be_replaced_until_it_is_scheduled(road: Road) -> None:
    drafted = road.drafted(road.case())
    road.advisories.redraft(road.coordinator, drafted.id, draft(title="Better said"))
    assert road.advisories.read(road.coordinator, drafted.id).title == "Better said"
    road.advisories.schedule(road.coordinator, drafted.id)
    with pytest.raises(ConflictError):
        road.advisories.redraft(road.coordinator, drafted.id, draft())


def test_who_is_not_read_in_sees_no_advisory_until_it_is_published(road: Road) -> None:
    notice = road.scheduled(road.case())
    outsider = road.party(PartyKind.OPERATOR, "utility")
    assert road.advisories.list(outsider) == ()
    absent = "00000000-0000-7000-8000-000000000000"
    answers = []
    for identity in (notice.id, absent):
        with pytest.raises(NotFoundError) as caught:
            road.advisories.get(outsider, identity)
        answers.append((caught.value.message, caught.value.next_step))
    assert answers[0] == answers[1]
    with pytest.raises(DeniedError):
        road.advisories.schedule(outsider, notice.id)
    road.clock.advance(WEEK)
    road.engine.run_due()
    assert [each.title for each in road.advisories.list(outsider)] == [draft().title]
    with pytest.raises(NotFoundError):
        road.advisories.read(outsider, notice.id)


def test_what_is_kept_under_embargo_is_sealed(road: Road) -> None:
    road.scheduled(road.case())
    with road.sessions.transaction() as unit:
        rows = unit.connection.execute(text("SELECT * FROM advisory")).all()
        leaves = unit.connection.execute(text("SELECT detail FROM ledger_leaf")).all()
    everything = b"".join(
        bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
        for row in (*rows, *leaves)
        for value in row
    )
    for secret in (b"ujson", b"overflow", b"CVE-2021", b"Ada"):
        assert secret not in everything


def test_the_feeds_are_a_csaf_provider_and_an_osv_database(road: Road) -> None:
    notice = road.scheduled(road.case())
    road.clock.advance(WEEK)
    road.engine.run_due()
    assert notice.publish_at is not None
    path = f"2026/{notice.public_id.lower()}.json"
    assert road.feeds.csaf_index().decode() == f"{path}\n"
    assert road.feeds.csaf_changes().decode() == f'"{path}","2026-06-12T12:00:00Z"\n'
    document = json.loads(road.feeds.csaf_document(2026, f"{notice.public_id.lower()}.json"))
    own = [each["url"] for each in document["document"]["references"] if each["category"] == "self"]
    assert own == [f"https://hub.example.org/.well-known/csaf/{path}"]
    record = json.loads(road.feeds.osv_record(f"x_{notice.public_id}"))
    assert record["aliases"] == ["CVE-2021-45958"]
    assert road.feeds.osv_archive() == road.feeds.osv_archive()
    metadata = json.loads(road.feeds.provider_metadata())
    assert metadata["last_updated"] == "2026-06-12T12:00:00Z"
