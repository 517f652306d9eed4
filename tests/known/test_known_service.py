"""Asking privately: who learns what, once per commitment, within quotas, on both databases."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

import known_proofs
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.advisories.tables import advisory
from clearhold.assembly.hub import Hub
from clearhold.findings.known import group, oprf, records
from clearhold.findings.known.keys import KeyHalf
from clearhold.findings.known.question import TAG_BYTES, ask, tag_of
from clearhold.findings.known.service import Known, KnownService, Quotas
from clearhold.findings.known.signatures import PER_QUESTION, room_of
from clearhold.findings.known.tables import known_entry, known_question
from clearhold.findings.model import State
from clearhold.findings.tables import finding as finding_table
from clearhold.kernel.errors import (
    ConflictError,
    DeniedError,
    IntegrityError,
    InvalidError,
    LimitError,
    NotFoundError,
    UnavailableError,
)
from clearhold.kernel.purl import Purl
from clearhold.ledger.tables import ledger_leaf
from clearhold.store import fence
from known_proofs import PACKAGE, PROOF

ROOM = room_of(Purl.parse(PACKAGE))


@pytest.mark.parametrize(
    "variant",
    [PROOF, known_proofs.REFORMATTED, known_proofs.OTHER_AMOUNTS, known_proofs.MORE_AROUND],
)
def test_variants_of_a_held_proof_are_known(
    held: Any, put: Any, labs: tuple[Actor, Actor], variant: bytes
) -> None:
    held(labs[0])
    assert put(labs[1], variant).hits


def test_another_flaw_of_the_package_is_not_known(
    held: Any, put: Any, labs: tuple[Actor, Actor]
) -> None:
    held(labs[0])
    assert put(labs[1], known_proofs.ANOTHER_FLAW).hits == ()


def test_the_same_proof_of_another_package_is_not_known(
    held: Any, put: Any, labs: tuple[Actor, Actor]
) -> None:
    held(labs[0])
    assert put(labs[1], PROOF, "pkg:pypi/other").hits == ()


def test_a_claim_tells_the_month_and_nothing_else(
    hub: Hub, held: Any, put: Any, labs: tuple[Actor, Actor]
) -> None:
    finding = held(labs[0])
    answer = hub.known.claim(labs[1], **put(labs[1]).claim)
    assert (answer.known, answer.name, answer.since) == (Known.COORDINATED, "", "2026-06")
    own = hub.known.claim(labs[0], **put(labs[0]).claim)
    assert (own.known, own.name) == (Known.OWN, finding)


def test_a_claim_leaves_no_leaf_that_the_earlier_finder_could_read(
    hub: Hub, held: Any, put: Any, labs: tuple[Actor, Actor]
) -> None:
    finding = held(labs[0])
    asked = put(labs[1])
    with hub.sessions.transaction() as unit:
        within = unit.connection.execute(
            select(finding_table.c.compartment).where(finding_table.c.id == finding)
        ).scalar_one()
        about = select(ledger_leaf.c.seq).where(
            (ledger_leaf.c.compartment == within) | (ledger_leaf.c.subject == finding)
        )
        before = unit.connection.execute(about).scalars().all()
    assert before
    assert hub.known.claim(labs[1], **asked.claim).known is Known.COORDINATED
    with hub.sessions.transaction() as unit:
        assert unit.connection.execute(about).scalars().all() == before


def test_what_is_public_is_told_freely(
    hub: Hub, held: Any, put: Any, labs: tuple[Actor, Actor]
) -> None:
    finding = held(labs[0])
    with hub.sessions.transaction() as unit:
        unit.connection.execute(
            update(finding_table).where(finding_table.c.id == finding).values(case_id="c")
        )
        within = unit.connection.execute(select(finding_table.c.compartment)).scalar_one()
        unit.connection.execute(
            insert(advisory).values(
                id="a",
                public_id="CLR-2026-1",
                case_id="c",
                compartment=within,
                party=labs[0].party,
                request_key="r",
                request_digest=b"r",
                state="published",
                body=b"",
                made_at=unit.now,
                patch_needed=False,
            )
        )
    answer = hub.known.claim(labs[1], **put(labs[1]).claim)
    assert (answer.known, answer.name) == (Known.PUBLIC, "CLR-2026-1")


def test_only_what_reproduced_is_known(held: Any, put: Any, labs: tuple[Actor, Actor]) -> None:
    """Made-up proofs of one party must not tell others that their flaws are known."""
    held(labs[0], state=State.NOT_VALIDATED)
    assert not put(labs[1]).hits


def test_a_miss_leaves_nothing_of_the_question(
    hub: Hub, put: Any, labs: tuple[Actor, Actor]
) -> None:
    """No value of the question stands in any row, and the blinded elements stand there hashed."""
    asked = put(labs[0])
    secrets_of_it = [
        *(each.value for each in asked.question.asked),
        *(each.blind for each in asked.question.asked),
        *asked.question.salts,
        *asked.outputs,
        *(tag_of(each) for each in asked.outputs),
    ]
    with hub.sessions.transaction() as unit:
        names = [table.name for table in known_entry.metadata.sorted_tables]
        dump = "".join(
            str(row)
            for name in names
            for row in unit.connection.execute(text(f'SELECT * FROM "{name}"'))  # noqa: S608
        )
        leaf = unit.connection.execute(
            select(ledger_leaf).where(ledger_leaf.c.action == "findings:known:ask")
        ).one()
    assert leaf.detail == {}
    for each in secrets_of_it:
        assert each.hex() not in dump
        assert repr(each)[2:-1] not in dump


def test_two_questions_send_the_same_kind_of_transcript(
    hub: Hub, put: Any, labs: tuple[Actor, Actor]
) -> None:
    """Whatever is asked, what is sent is sixteen fresh elements: their number, order and repetition
    say nothing, and for any other question there is a blind that would have sent the very same."""
    one, again = put(labs[0]), put(labs[0])
    other = put(labs[0], known_proofs.ANOTHER_FLAW)
    for each in (one, again, other):
        assert len(set(each.question.elements)) == PER_QUESTION
    assert not {*one.question.elements} & {*again.question.elements}
    assert one.question.commitment != again.question.commitment
    order = [each.value for each in one.question.asked]
    assert order != [each.value for each in again.question.asked]


def test_a_commitment_answers_one_question_and_a_repetition_of_it(
    hub: Hub, put: Any, labs: tuple[Actor, Actor]
) -> None:
    asked = put(labs[0])
    keys = hub.known.published(labs[0])
    again = {"lodgement": asked.lodgement, "elements": asked.question.elements}
    answers = hub.known.ask(labs[0], keys.epoch, ROOM, **again)
    assert asked.question.outputs([keys.publics[0][ROOM]], answers) == asked.outputs
    other = ask([secrets.token_bytes(32)])
    for room, elements in ((ROOM, other.elements), (ROOM ^ 1, asked.question.elements)):
        with pytest.raises(ConflictError):
            hub.known.ask(labs[0], keys.epoch, room, lodgement=asked.lodgement, elements=elements)
    with hub.sessions.transaction() as unit:
        assert len(unit.connection.execute(select(known_question)).all()) == 1


def test_nothing_is_answered_without_a_commitment_of_ones_own(
    hub: Hub, put: Any, labs: tuple[Actor, Actor]
) -> None:
    asked = put(labs[0])
    epoch = hub.known.published(labs[0]).epoch
    for lodgement in (asked.lodgement, "none"):
        with pytest.raises(NotFoundError):
            hub.known.ask(
                labs[1], epoch, ROOM, lodgement=lodgement, elements=asked.question.elements
            )


def test_a_room_is_asked_so_often_a_day_and_every_package_with_it(
    hub: Hub, put: Any, labs: tuple[Actor, Actor], clock: Any
) -> None:
    for _ in range(Quotas().questions):
        put(labs[0])
    with pytest.raises(LimitError):
        put(labs[0])
    assert put(labs[1]) is not None
    clock.advance(timedelta(days=1, seconds=1))
    assert put(labs[0]) is not None


def test_a_race_for_the_last_question_is_won_once(
    hub: Hub, put: Any, labs: tuple[Actor, Actor]
) -> None:
    for _ in range(Quotas().questions - 1):
        put(labs[0])

    def attempt(_number: int) -> bool:
        try:
            put(labs[0])
        except LimitError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(attempt, range(4))) == 1


def test_claims_of_others_findings_are_counted_by_package(
    hub: Hub, held: Any, put: Any, labs: tuple[Actor, Actor]
) -> None:
    few = _service(hub, quotas=Quotas(questions=100, claims=1))
    held(labs[0])
    held(labs[0], known_proofs.ANOTHER_FLAW)
    first = put(labs[1])
    few.claim(labs[1], **first.claim)
    few.claim(labs[1], **first.claim)  # again, it counts once
    with pytest.raises(LimitError):
        few.claim(labs[1], **put(labs[1], known_proofs.ANOTHER_FLAW).claim)
    assert few.claim(labs[0], **put(labs[0], known_proofs.ANOTHER_FLAW).claim).known is Known.OWN


def test_a_claim_needs_the_signature_that_was_committed_to(
    hub: Hub, held: Any, put: Any, labs: tuple[Actor, Actor]
) -> None:
    held(labs[0])
    hit, miss = put(labs[1]), put(labs[1], known_proofs.ANOTHER_FLAW)
    opening = hit.claim["opening"]
    wrong = [
        hit.claim | {"lodgement": miss.lodgement},
        hit.claim | {"lodgement": "none"},
        hit.claim | {"ticket": bytes(32)},
        hit.claim | {"opening": replace(opening, place=(opening.place + 1) % PER_QUESTION)},
        hit.claim | {"opening": replace(opening, salt=bytes(32))},
        hit.claim | {"opening": replace(opening, signature=bytes(32))},
        hit.claim | {"opening": replace(opening, leaves=opening.leaves[:3])},
        {
            "lodgement": miss.lodgement,
            "ticket": hit.claim["ticket"],
            "opening": miss.question.opening(0),
        },
    ]
    for each in wrong:
        with pytest.raises(NotFoundError) as told:
            hub.known.claim(labs[1], **each)
        assert told.value.message == "This leads to nothing that is known."
    with pytest.raises(NotFoundError):
        hub.known.claim(labs[0], **hit.claim)  # another party's commitment


def test_bad_elements_and_batches_are_refused_before_anything_is_used_up(
    hub: Hub, labs: tuple[Actor, Actor]
) -> None:
    question = ask([secrets.token_bytes(32)])
    lodgement = hub.ledger.lodge(labs[0], question.commitment).id
    epoch = hub.known.published(labs[0]).epoch
    good = list(question.elements)
    for elements in (
        good[:-1],
        [*good, good[0]],
        [group.IDENTITY, *good[1:]],
        [b"\xff" * 32, *good[1:]],
        [b"", *good[1:]],
        good * 1000,
    ):
        with pytest.raises(InvalidError):
            hub.known.ask(labs[0], epoch, ROOM, lodgement=lodgement, elements=elements)
    with pytest.raises(InvalidError):
        hub.known.ask(labs[0], epoch, 256, lodgement=lodgement, elements=good)
    with pytest.raises(ConflictError):
        hub.known.ask(labs[0], epoch + 1, ROOM, lodgement=lodgement, elements=good)
    assert hub.known.ask(labs[0], epoch, ROOM, lodgement=lodgement, elements=good)


def test_who_may_not_submit_findings_may_not_ask(hub: Hub, party_of: Callable[..., Actor]) -> None:
    operator = party_of(PartyKind.OPERATOR)
    for act in (
        lambda: hub.known.published(operator),
        lambda: hub.known.tags(operator, 1, 0),
        lambda: hub.known.ask(operator, 1, 0, lodgement="x", elements=[]),
        lambda: hub.known.claim(
            operator, lodgement="x", ticket=b"", opening=ask([b"x"]).opening(0)
        ),
    ):
        with pytest.raises(DeniedError):
            act()


def test_a_list_grows_by_the_clock_alone_and_nothing_moves_in_it(
    hub: Hub, held: Any, labs: tuple[Actor, Actor], clock: Any
) -> None:
    epoch = hub.known.published(labs[0]).epoch
    other = ROOM ^ 1
    before = [hub.known.tags(labs[0], epoch, room) for room in (ROOM, other)]
    held(labs[0])
    held(labs[1], known_proofs.REFORMATTED)
    after = [hub.known.tags(labs[0], epoch, room) for room in (ROOM, other)]
    assert len(after[0]) == len(after[1]) > len(before[0]) == len(before[1])
    for then, now in zip(before, after, strict=True):
        assert now.startswith(then)
        tags = [now[place : place + TAG_BYTES] for place in range(0, len(now), TAG_BYTES)]
        assert len(set(tags)) == len(tags), "a tag twice would tell that two findings share it"
    start = len(before[0]) // TAG_BYTES
    assert hub.known.tags(labs[0], epoch, ROOM, after=start) == after[0][len(before[0]) :]
    assert hub.known.tags(labs[0], epoch, ROOM, after=10**9) == b""


def test_what_is_expunged_is_not_known_and_what_it_shared_stays(
    hub: Hub, held: Any, put: Any, labs: tuple[Actor, Actor]
) -> None:
    first, second = held(labs[0]), held(labs[0])
    for finding, left in ((first, True), (second, False)):
        with hub.sessions.transaction() as unit:
            records.drop(unit, finding)
        assert bool(put(labs[1]).hits) is left


def test_rotating_changes_every_key_and_keeps_what_is_known(
    hub: Hub, held: Any, put: Any, labs: tuple[Actor, Actor]
) -> None:
    held(labs[0])
    before, old = hub.known.published(labs[1]), put(labs[1])
    assert hub.known.rotate(by="service:admin") == before.epoch + 1
    after = hub.known.published(labs[1])
    assert not set(before.publics[0]) & set(after.publics[0])
    assert put(labs[1]).hits
    with pytest.raises(NotFoundError):
        hub.known.claim(labs[1], **old.claim)
    with pytest.raises(ConflictError):
        hub.known.tags(labs[1], before.epoch, ROOM)


def test_a_rotation_that_was_cut_off_is_taken_up_again(
    hub: Hub, held: Any, put: Any, labs: tuple[Actor, Actor]
) -> None:
    held(labs[0])
    held(labs[0], known_proofs.ANOTHER_FLAW)
    before = hub.known.published(labs[1]).epoch

    def cut(done: int, _every: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hub.known.rotate(by="service:admin", told=cut)
    assert hub.known.published(labs[1]).epoch == before
    assert put(labs[1]).hits
    third = held(labs[0], known_proofs.MORE_AROUND)
    hub.known.rotate(by="service:admin")
    for proof in (PROOF, known_proofs.ANOTHER_FLAW, known_proofs.MORE_AROUND):
        assert put(labs[1], proof).hits
    with hub.sessions.transaction() as unit:
        twice = (
            unit.connection.execute(
                select(known_entry.c.epoch).where(known_entry.c.finding == third).distinct()
            )
            .scalars()
            .all()
        )
    assert twice == [before + 1]


def test_a_key_that_is_not_the_published_one_is_found_out(
    hub: Hub, put: Any, labs: tuple[Actor, Actor]
) -> None:
    hub.known.published(labs[0])
    with_another = _service(hub, ring=_OtherRing())
    with pytest.raises(IntegrityError):
        with_another.published(labs[0])


def test_half_the_key_answers_with_a_second_party_and_neither_alone(
    hub: Hub, held: Any, put: Any, labs: tuple[Actor, Actor]
) -> None:
    half = _Watched(KeyHalf(bytes(range(32))))
    split = _service(hub, second=half)
    held(labs[0], by=split)
    hit = put(labs[1], known_proofs.REFORMATTED, by=split)
    assert hit.hits
    assert split.claim(labs[1], **hit.claim).known is Known.COORDINATED
    assert not put(labs[1], known_proofs.ANOTHER_FLAW, by=split).hits
    assert len(split.published(labs[0]).publics) == 2
    # The hub's own half of the key, which is all that a thief of the hub has, gives no tag.
    keys = split._room_keys(1).pair(ROOM)
    with hub.sessions.transaction() as unit:
        tags = {
            bytes(each) for each in unit.connection.execute(select(known_entry.c.tag)).scalars()
        }
    values = [each.value for each in hit.question.asked]
    assert not tags & {tag_of(oprf.value_of(keys.secret, each)) for each in values}
    # And what the second party saw are blinded elements alone, the hub's own included.
    assert not set(values) & half.seen
    assert {*hit.question.elements} <= half.seen


def test_a_second_party_that_lies_or_is_away_is_noticed(
    hub: Hub, held: Any, put: Any, labs: tuple[Actor, Actor]
) -> None:
    half = _Watched(KeyHalf(bytes(range(32))))
    split = _service(hub, second=half)
    held(labs[0], by=split)
    half.lies = True
    with pytest.raises(IntegrityError):
        put(labs[1], by=split)
    half.lies, half.away = False, True
    with pytest.raises(UnavailableError):
        put(labs[1], by=split)
    finding = held(labs[0], known_proofs.ANOTHER_FLAW, by=split)  # queued to be tried again
    half.away = False
    split.index({"finding": finding})
    held(labs[0], known_proofs.WEAK, by=split)
    assert put(labs[1], known_proofs.ANOTHER_FLAW, by=split).hits


def test_a_repeated_question_costs_the_second_holder_nothing(
    hub: Hub, put: Any, labs: tuple[Actor, Actor]
) -> None:
    half = _Watched(KeyHalf(bytes(range(32))))
    split = _service(hub, second=half)
    asked = put(labs[0], by=split)
    keys = split.published(labs[0])
    publics = [each[ROOM] for each in keys.publics]
    assert half.sent == PER_QUESTION
    half.away = True
    for _ in range(20):
        answers = split.ask(
            labs[0],
            keys.epoch,
            ROOM,
            lodgement=asked.lodgement,
            elements=asked.question.elements,
        )
        assert asked.question.outputs(publics, answers) == asked.outputs
    assert half.sent == PER_QUESTION


def test_a_question_whose_second_half_got_lost_is_asked_again_but_not_without_end(
    hub: Hub, labs: tuple[Actor, Actor]
) -> None:
    half = _Watched(KeyHalf(bytes(range(32))))
    split = _service(hub, second=half)
    keys = split.published(labs[0])

    def repeat(question: Any, lodgement: str) -> Any:
        return split.ask(labs[0], keys.epoch, ROOM, lodgement=lodgement, elements=question.elements)

    for lost in (3, 4):
        question = ask([secrets.token_bytes(32)])
        lodgement = hub.ledger.lodge(labs[0], question.commitment).id
        half.lost = True
        for _ in range(lost):
            with pytest.raises(UnavailableError):
                repeat(question, lodgement)
        half.lost = False
        if lost == 3:
            answers = repeat(question, lodgement)
            assert question.outputs([each[ROOM] for each in keys.publics], answers)
            continue
        with pytest.raises(LimitError):
            repeat(question, lodgement)
    assert half.sent == 2 * 4 * PER_QUESTION


def test_claims_that_lead_nowhere_cost_the_second_holder_nothing_and_others_little(
    hub: Hub, held: Any, put: Any, labs: tuple[Actor, Actor]
) -> None:
    half = _Watched(KeyHalf(bytes(range(32))))
    split = _service(hub, second=half)
    held(labs[0], by=split)
    hit = put(labs[1], by=split)
    half.sent = 0
    for _ in range(5):
        with pytest.raises(NotFoundError):
            split.claim(labs[1], **hit.claim | {"ticket": secrets.token_bytes(32)})
    assert half.sent == 0
    # With a ticket that is held, and the opening of a place it did not come of.
    other = (hit.hits[0] + 1) % PER_QUESTION
    wrong = hit.claim | {"opening": hit.question.opening(other)}
    assert split.claim(labs[1], **hit.claim).known is Known.COORDINATED
    for _ in range(3 * PER_QUESTION - 1):
        with pytest.raises(NotFoundError):
            split.claim(labs[1], **wrong)
    for claim in (wrong, hit.claim):
        with pytest.raises(LimitError):
            split.claim(labs[1], **claim)
    assert half.sent == 3 * PER_QUESTION


def test_the_fence_shows_no_request_an_entry(
    hub: Hub, held: Any, put: Any, labs: tuple[Actor, Actor], database: Any
) -> None:
    if database.dialect.name != "postgresql":
        pytest.skip("row-level security is PostgreSQL's")
    held(labs[0])
    put(labs[0])
    with fence.request():
        fence.identify(fence.Identity(labs[0].party, labs[0].principal, ""))
        with hub.sessions.transaction() as unit:
            assert unit.connection.execute(select(known_entry)).all() == []
            assert len(unit.connection.execute(select(known_question)).all()) == 1
        fence.identify(fence.Identity(labs[1].party, labs[1].principal, ""))
        with hub.sessions.transaction() as unit:
            assert unit.connection.execute(select(known_question)).all() == []
        assert put(labs[1]).hits


class _OtherRing:
    def keyed_hash(self, purpose: str, value: bytes) -> bytes:
        return hashlib.sha256(purpose.encode() + value).digest()


class _Watched:
    """A second holder that remembers what it saw."""

    def __init__(self, half: KeyHalf) -> None:
        self._half = half
        self.seen: set[bytes] = set()
        self.sent = 0
        self.lies = self.away = self.lost = False

    def publics(self, epoch: int) -> tuple[bytes, ...]:
        return self._half.publics(epoch)

    def evaluate(self, epoch: int, room: int, elements: Any) -> tuple[tuple[bytes, ...], bytes]:
        if self.away:
            raise UnavailableError("Away.")
        self.seen |= {*elements}
        self.sent += len(elements)
        if self.lost:
            raise UnavailableError("The answer was lost.")
        return self._half.evaluate(epoch, room ^ self.lies, elements)


def _service(hub: Hub, **changes: Any) -> KnownService:
    given = {"ring": hub.known._ring, "public_name": hub.known._public_name} | changes
    return KnownService(hub.sessions, hub.findings, **given)
