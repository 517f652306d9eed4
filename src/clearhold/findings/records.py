"""Queries on findings; what they say stays sealed here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    and_,
    delete,
    insert,
    literal,
    or_,
    select,
    union_all,
    update,
)

from clearhold.access.grants import Tier, compartments_of
from clearhold.access.model import Actor
from clearhold.findings import match_records
from clearhold.findings.model import Assertion, FindingHead, Match, Method, State
from clearhold.findings.tables import finding, match_assertion, match_key, submission
from clearhold.kernel.ids import (
    ArtifactId,
    CaseId,
    CompartmentId,
    FindingId,
    PartyId,
    SubmissionId,
)
from clearhold.store.unit_of_work import UnitOfWork

FINGERPRINT = "fingerprint"
COPY = "copy"
MOST_COPIES = 50

_HEAD = tuple(column for column in finding.c if column.name != "body")


@dataclass(frozen=True, slots=True)
class StoredSubmission:
    """A submission's row; `receipt` is sealed."""

    id: SubmissionId
    party: PartyId
    compartment: CompartmentId
    received_at: datetime
    format: str
    raw: ArtifactId
    lease: str | None
    idempotency_key: str
    request: bytes
    receipt: bytes


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Findings and everything joined to them, with the assertions in force among all these."""

    heads: Mapping[FindingId, FindingHead]
    assertions: tuple[Assertion, ...]

    @property
    def received(self) -> dict[FindingId, datetime]:
        """The priority time of each finding."""
        return {identity: head.received_at for identity, head in self.heads.items()}


def visible_to(actor: Actor, now: datetime, *, tier: Tier = Tier.CONTENT) -> ColumnElement[bool]:
    """A finding is seen by those read in to its compartment, its proof by those who see everything."""
    return finding.c.compartment.in_(compartments_of(actor, now, tier=tier))


def submission_visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """A submission is seen by the parties read in to its compartment: its sender."""
    return submission.c.compartment.in_(compartments_of(actor, now, tier=Tier.EVERYTHING))


def add_submission(unit: UnitOfWork, new: StoredSubmission) -> None:
    """Insert a submission; the database refuses a second one of that party and key."""
    unit.connection.execute(
        insert(submission).values({name: getattr(new, name) for name in submission.c.keys()})  # noqa: SIM118  # columns, not a dictionary
    )


def submission_by_key(unit: UnitOfWork, party: PartyId, key: str) -> StoredSubmission | None:
    """A party's own earlier submission under an idempotency key."""
    with unit.as_service():
        row = unit.connection.execute(
            select(submission).where(
                submission.c.party == party, submission.c.idempotency_key == key
            )
        ).one_or_none()
    return None if row is None else _submission(row)


def latest_of_format(unit: UnitOfWork, form: str, *, limit: int) -> tuple[StoredSubmission, ...]:
    """The latest submissions in a format, whoever sent them: for services."""
    with unit.as_service():
        rows = unit.connection.execute(
            select(submission)
            .where(submission.c.format == form)
            .order_by(submission.c.received_at.desc(), submission.c.id.desc())
            .limit(limit)
        ).all()
    return tuple(map(_submission, rows))


def submission_seen(
    unit: UnitOfWork, actor: Actor, identity: SubmissionId
) -> StoredSubmission | None:
    """One submission, if the actor may see it."""
    row = unit.connection.execute(
        select(submission).where(
            submission.c.id == identity, submission_visible_to(actor, unit.now)
        )
    ).one_or_none()
    return None if row is None else _submission(row)


def add_all(unit: UnitOfWork, new: Sequence[tuple[FindingHead, bytes]]) -> None:
    """Insert findings, each with its sealed body, in one query."""
    rows = [
        {
            "id": head.id,
            "submission": head.submission,
            "position": head.position,
            "party": head.party,
            "compartment": head.compartment,
            "received_at": head.received_at,
            "state": head.state,
            "verdict": head.verdict,
            "level": head.level,
            "proof": head.proof,
            "case_id": head.case,
            "body": body,
        }
        for head, body in new
    ]
    if rows:
        unit.connection.execute(insert(finding), rows)


def of_submission(unit: UnitOfWork, identity: SubmissionId) -> tuple[FindingId, ...]:
    """The findings that a submission brought, in its order: for services."""
    with unit.as_service():
        rows = unit.connection.execute(
            select(finding.c.id)
            .where(finding.c.submission == identity)
            .order_by(finding.c.position)
        )
        return tuple(map(FindingId, rows.scalars()))


def listing(
    unit: UnitOfWork, actor: Actor, *, after: FindingId | None = None, limit: int
) -> tuple[FindingHead, ...]:
    """The findings the actor may see, in the order they came, after one of them."""
    later = finding.c.id > after if after is not None else finding.c.id.is_not(None)
    rows = unit.connection.execute(
        select(*_HEAD).where(visible_to(actor, unit.now), later).order_by(finding.c.id).limit(limit)
    )
    return tuple(_head(row) for row in rows)


def seen(
    unit: UnitOfWork, actor: Actor, identity: FindingId, *, tier: Tier = Tier.CONTENT
) -> FindingHead | None:
    """One finding, if the actor may see what `tier` shows of it."""
    row = unit.connection.execute(
        select(*_HEAD).where(visible_to(actor, unit.now, tier=tier), finding.c.id == identity)
    ).one_or_none()
    return None if row is None else _head(row)


def readable(unit: UnitOfWork, actor: Actor) -> frozenset[FindingId]:
    """The findings whose content the actor may see."""
    rows = unit.connection.execute(select(finding.c.id).where(visible_to(actor, unit.now)))
    return frozenset(map(FindingId, rows.scalars()))


def head(unit: UnitOfWork, identity: FindingId, *, lock: bool = False) -> FindingHead | None:
    """One finding, whoever asks: for services, never for an answer to a caller."""
    query = select(*_HEAD).where(finding.c.id == identity)
    with unit.as_service():
        row = unit.connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _head(row)


def reproduced_among(unit: UnitOfWork, which: Sequence[FindingId]) -> dict[FindingId, datetime]:
    """When those of these findings were received that have reproduced: for services."""
    if not which:
        return {}
    wanted = and_(finding.c.id.in_(which), finding.c.state == State.REPRODUCED)
    with unit.as_service():
        rows = unit.connection.execute(select(finding.c.id, finding.c.received_at).where(wanted))
        return {FindingId(row.id): row.received_at for row in rows}


def raw_compartment(unit: UnitOfWork, identity: FindingId) -> CompartmentId:
    """Where the submission that brought a finding lies: for services."""
    with unit.as_service():
        within = unit.connection.execute(
            select(submission.c.compartment)
            .join(finding, finding.c.submission == submission.c.id)
            .where(finding.c.id == identity)
        ).scalar_one()
    return CompartmentId(within)


def brought_along(unit: UnitOfWork, identity: FindingId) -> frozenset[FindingId]:
    """All findings that came in one submission with this one: for services."""
    beside = finding.alias()
    with unit.as_service():
        rows = unit.connection.execute(
            select(beside.c.id)
            .join(finding, finding.c.submission == beside.c.submission)
            .where(finding.c.id == identity)
        ).scalars()
        return frozenset(map(FindingId, rows))


def sealed_body(unit: UnitOfWork, identity: FindingId) -> bytes:
    """The sealed content of a finding that is known to exist."""
    return bytes(
        unit.connection.execute(select(finding.c.body).where(finding.c.id == identity)).scalar_one()
    )


def all_heads(unit: UnitOfWork) -> dict[FindingId, FindingHead]:
    """Every finding, for the coordinator's queue."""
    with unit.as_service():
        rows = unit.connection.execute(select(*_HEAD)).all()
    return {FindingId(row.id): _head(row) for row in rows}


def set_state(
    unit: UnitOfWork, identity: FindingId, *, state: State, verdict: str, level: int
) -> None:
    """Write where a finding stands."""
    unit.connection.execute(
        update(finding)
        .where(finding.c.id == identity)
        .values(state=state, verdict=verdict, level=level)
    )


def set_case(unit: UnitOfWork, members: Iterable[FindingId], case_id: CaseId | None) -> None:
    """Write which case findings belong to."""
    with unit.as_service():
        unit.connection.execute(
            update(finding).where(finding.c.id.in_(tuple(members))).values(case_id=case_id)
        )


def add_all_keys(unit: UnitOfWork, keys: Mapping[FindingId, Iterable[tuple[str, bytes]]]) -> None:
    """Index findings under keyed values, in one query."""
    # Sorted, for the rows then go to neighbouring places of the index.
    rows = sorted(
        (kind, value, identity) for identity, each in keys.items() for kind, value in set(each)
    )
    if rows:
        unit.connection.execute(
            insert(match_key),
            [{"kind": kind, "value": value, "finding": each} for kind, value, each in rows],
        )


def drop_all_keys(unit: UnitOfWork, identity: FindingId) -> None:
    """Take a finding out of the index for good, and out of what waits for a person."""
    match_records.drop(unit, [identity])
    match_records.forget(unit, identity)
    unit.connection.execute(delete(match_key).where(match_key.c.finding == identity))


def submissions_with(
    unit: UnitOfWork, identities: Iterable[FindingId]
) -> tuple[CompartmentId, ...]:
    """The compartments of the submissions that brought these findings."""
    rows = unit.connection.execute(
        select(submission.c.compartment)
        .join(finding, finding.c.submission == submission.c.id)
        .where(finding.c.id.in_(list(identities)))
        .distinct()
        .order_by(submission.c.compartment)
    )
    return tuple(CompartmentId(within) for within in rows.scalars())


def own_with_fingerprint(
    unit: UnitOfWork, party: PartyId, values: Iterable[bytes]
) -> dict[bytes, list[FindingId]]:
    """A party's own findings under each fingerprint, the earliest first."""
    rows = unit.connection.execute(
        select(match_key.c.value, match_key.c.finding)
        .join(finding, finding.c.id == match_key.c.finding)
        .where(
            match_key.c.kind == FINGERPRINT,
            match_key.c.value.in_(tuple(values)),
            finding.c.party == party,
        )
        .order_by(finding.c.received_at, finding.c.id)
    )
    found: dict[bytes, list[FindingId]] = {}
    for row in rows:
        found.setdefault(bytes(row.value), []).append(FindingId(row.finding))
    return found


def copies(unit: UnitOfWork, identity: FindingId) -> tuple[FindingHead, ...]:
    """Other findings with the same proof of the same claim, whoever sent them: for the matcher."""
    mine = select(match_key.c.value).where(
        match_key.c.kind == COPY, match_key.c.finding == identity
    )
    with unit.as_service():
        rows = unit.connection.execute(
            select(*_HEAD)
            .join(match_key, match_key.c.finding == finding.c.id)
            .where(
                match_key.c.kind == COPY,
                match_key.c.value.in_(mine.scalar_subquery()),
                finding.c.id != identity,
            )
            .order_by(finding.c.id)
            .limit(MOST_COPIES)
        ).all()
    return tuple(_head(row) for row in rows)


def copies_of_all(
    unit: UnitOfWork, identities: Sequence[FindingId]
) -> dict[FindingId, tuple[FindingId, ...]]:
    """The ids of what `copies` tells for each of some findings, in two queries for a hundred."""
    found: dict[FindingId, tuple[FindingId, ...]] = {}
    with unit.as_service():
        for start in range(0, len(identities), 100):
            asked = match_key.c.finding.in_(identities[start : start + 100])
            mine = unit.connection.execute(
                select(match_key.c.finding, match_key.c.value).where(
                    match_key.c.kind == COPY, asked
                )
            ).all()
            values = list({bytes(row.value) for row in mine})
            if not values:
                continue
            # Limited for each: a proof that everybody sends must not grow the answer.
            each = (
                select(literal(place).label("place"), match_key.c.finding)
                .where(match_key.c.kind == COPY, match_key.c.value == value)
                .order_by(match_key.c.finding)
                .limit(MOST_COPIES + 1)
                .subquery()
                for place, value in enumerate(values)
            )
            holders: dict[bytes, list[FindingId]] = {}
            for row in unit.connection.execute(union_all(*(select(one) for one in each))):
                holders.setdefault(values[row.place], []).append(FindingId(row.finding))
            for row in mine:
                others = [one for one in holders[bytes(row.value)] if one != row.finding]
                found[FindingId(row.finding)] = tuple(others[:MOST_COPIES])
    return found


def in_cases(unit: UnitOfWork, identities: Iterable[FindingId]) -> frozenset[FindingId]:
    """Which of these findings belong to a case: for the coordinators' queues."""
    with unit.as_service():
        rows = unit.connection.execute(
            select(finding.c.id).where(
                finding.c.id.in_(list(identities)), finding.c.case_id.is_not(None)
            )
        ).scalars()
        return frozenset(map(FindingId, rows))


def received_at(unit: UnitOfWork, identities: Sequence[FindingId]) -> dict[FindingId, datetime]:
    """When findings were received: for the matcher."""
    with unit.as_service():
        rows = unit.connection.execute(
            select(finding.c.id, finding.c.received_at).where(finding.c.id.in_(identities))
        ).all()
    return {FindingId(row.id): row.received_at for row in rows}


def add_assertion(unit: UnitOfWork, new: Assertion) -> None:
    """Insert an assertion on a pair of findings."""
    unit.connection.execute(
        insert(match_assertion).values(
            id=new.id,
            a=new.pair[0],
            b=new.pair[1],
            verdict=new.verdict,
            method=new.method,
            evidence=dict(new.evidence),
            asserted_by=new.asserted_by,
            asserted_at=new.asserted_at,
        )
    )


def assertion(unit: UnitOfWork, identity: str) -> Assertion | None:
    """One assertion that is in force."""
    row = unit.connection.execute(
        select(match_assertion).where(_in_force(), match_assertion.c.id == identity)
    ).one_or_none()
    return None if row is None else _assertion(row)


def withdraw(unit: UnitOfWork, identity: str, *, by: str) -> None:
    """End an assertion."""
    unit.connection.execute(
        update(match_assertion)
        .where(match_assertion.c.id == identity)
        .values(withdrawn_at=unit.now, withdrawn_by=by)
    )


def assertions(unit: UnitOfWork, among: Iterable[FindingId] | None = None) -> tuple[Assertion, ...]:
    """Assertions in force: all of them, or those with at least one finding of `among`."""
    query = select(match_assertion).where(_in_force()).order_by(match_assertion.c.id)
    if among is not None:
        wanted = tuple(among)
        query = query.where(or_(match_assertion.c.a.in_(wanted), match_assertion.c.b.in_(wanted)))
    return tuple(_assertion(row) for row in unit.connection.execute(query))


def neighbourhood(unit: UnitOfWork, start: Iterable[FindingId]) -> Neighbourhood:
    """Everything that assertions of `same` join, directly or not, to the findings of `start`."""
    reached: set[FindingId] = set()
    frontier = set(start)
    known: dict[str, Assertion] = {}
    while frontier:
        reached |= frontier
        touching = assertions(unit, frontier)
        known |= {each.id: each for each in touching}
        joined = (each for each in touching if each.verdict is Match.SAME)
        frontier = {end for each in joined for end in each.pair} - reached
    with unit.as_service():
        rows = unit.connection.execute(select(*_HEAD).where(finding.c.id.in_(tuple(reached)))).all()
    heads = {FindingId(row.id): _head(row) for row in rows}
    return Neighbourhood(heads, tuple(known.values()))


def _in_force() -> ColumnElement[bool]:
    return match_assertion.c.withdrawn_at.is_(None)


def _submission(row: Row[Any]) -> StoredSubmission:
    return StoredSubmission(
        id=SubmissionId(row.id),
        party=PartyId(row.party),
        compartment=CompartmentId(row.compartment),
        received_at=row.received_at,
        format=row.format,
        raw=ArtifactId(row.raw),
        lease=row.lease,
        idempotency_key=row.idempotency_key,
        request=bytes(row.request),
        receipt=bytes(row.receipt),
    )


def _head(row: Row[Any]) -> FindingHead:
    return FindingHead(
        id=FindingId(row.id),
        submission=SubmissionId(row.submission),
        position=row.position,
        party=PartyId(row.party),
        compartment=CompartmentId(row.compartment),
        received_at=row.received_at,
        state=State(row.state),
        verdict=row.verdict,
        level=row.level,
        proof=None if row.proof is None else ArtifactId(row.proof),
        case=None if row.case_id is None else CaseId(row.case_id),
    )


def _assertion(row: Row[Any]) -> Assertion:
    return Assertion(
        id=row.id,
        a=FindingId(row.a),
        b=FindingId(row.b),
        verdict=Match(row.verdict),
        method=Method(row.method),
        evidence=row.evidence,
        asserted_by=row.asserted_by,
        asserted_at=row.asserted_at,
    )
