"""Queries of a call: all that decides about it, the tokens held for it, and its link in the record.

Every call makes each of them, so they are prepared: nothing but the driver stands between them and
the database.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Final

import msgspec
from sqlalchemy import and_, bindparam, delete, exists, insert, select, update

from clearhold.evaluations import agreement_records, engagement_records
from clearhold.evaluations.agreement_records import StoredAgreement
from clearhold.evaluations.call_chain import RecordedCall
from clearhold.evaluations.canary import Identity
from clearhold.evaluations.engagement_records import StoredEngagement, StoredEvent
from clearhold.evaluations.gateway.records import (
    MOST_LISTED,
    StoredEndpoint,
    StoredGateway,
    StoredGrant,
    endpoint_in,
    gateway_in,
    grant_in,
)
from clearhold.evaluations.gateway.tables import (
    model_call,
    model_canary,
    model_endpoint,
    model_gateway,
    model_grant,
    model_open_call,
)
from clearhold.evaluations.tables import engagement, engagement_event, model_agreement
from clearhold.kernel.errors import NotFoundError
from clearhold.kernel.ids import EngagementId, ModelGrantId
from clearhold.store.prepared import Prepared, Row, read
from clearhold.store.schema import to_microseconds
from clearhold.store.unit_of_work import UnitOfWork

_MOST_KEPT: Final = 256


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call that is under way, and the tokens held for it."""

    id: str
    engagement: EngagementId
    granted: ModelGrantId
    variant: int
    request_sha256: bytes
    held: int
    begun_at: datetime


@dataclass(frozen=True, slots=True)
class Whole:
    """All that decides about a call: its grant and what the grant lies in, read at once.

    `identified` says whether the endpoint has passed a canary round.
    """

    grant: StoredGrant
    engagement: StoredEngagement
    agreement: StoredAgreement
    gateway: StoredGateway
    endpoint: StoredEndpoint | None
    identified: bool


_TABLES: Final = (model_grant, engagement, model_agreement, model_gateway, model_endpoint)
_PLACES: Final = tuple(accumulate((len(each.c) for each in _TABLES), initial=0))
_IDENTIFIED: Final = exists().where(
    model_canary.c.engagement == engagement.c.id,
    model_canary.c.endpoint == model_endpoint.c.id,
    model_canary.c.outcome == str(Identity.SAME),
)
_WHOLE: Final = Prepared(
    select(*_TABLES, _IDENTIFIED.label("identified"))
    .join(engagement, model_grant.c.engagement == engagement.c.id)
    .join(model_agreement, engagement.c.agreement == model_agreement.c.id)
    .join(model_gateway, model_gateway.c.engagement == engagement.c.id)
    .outerjoin(
        model_endpoint,
        and_(
            model_endpoint.c.engagement == engagement.c.id,
            model_endpoint.c.withdrawn_at.is_(None),
        ),
    )
    .where(model_grant.c.id == bindparam("identity"))
)
_STEADY: Final = Prepared(
    select(engagement.c.id)
    .join(model_grant, model_grant.c.engagement == engagement.c.id)
    .where(model_grant.c.id == bindparam("identity"))
    .with_for_update(read=True, key_share=True, of=engagement)
)
_HAPPENED: Final = Prepared(
    select(engagement_event)
    .where(engagement_event.c.engagement == bindparam("of"))
    .order_by(engagement_event.c.number)
)


def whole(unit: UnitOfWork, identity: str) -> Whole | None:
    """A grant with its engagement, agreement, gateway and endpoint, in one query.

    Until the transaction ends, nobody changes how the engagement stands.
    """
    # PostgreSQL reads as of the instant at which a statement began, however long that waits for a
    # lock then: whoever held it may have switched access off meanwhile. On SQLite all writers wait.
    if unit.connection.dialect.name == "postgresql":
        _STEADY.row(unit.connection, identity=identity)
    row = _WHOLE.row(unit.connection, identity=identity)
    if row is None:
        return None
    grant, of, agreement, gateway, endpoint = (row[begin:end] for begin, end in pairwise(_PLACES))
    return Whole(
        grant_in(read(model_grant, grant)),
        _engagement(of),
        _agreement(agreement),
        gateway_in(read(model_gateway, gateway)),
        None if endpoint[0] is None else _endpoint(endpoint),
        bool(row[-1]),
    )


def happened(unit: UnitOfWork, of: EngagementId) -> tuple[StoredEvent, ...]:
    """What happened in an engagement, in order."""
    return _events(tuple(map(tuple, _HAPPENED.rows(unit.connection, of=of))))


# What stands in a row is read from the database for each call. To read the same once more gives the
# same, so what it came to is remembered by the row itself: nothing need be told when a row changes.
@lru_cache(_MOST_KEPT)
def _engagement(values: Row) -> StoredEngagement:
    return engagement_records.record(read(engagement, values))


@lru_cache(_MOST_KEPT)
def _agreement(values: Row) -> StoredAgreement:
    return agreement_records.record(read(model_agreement, values))


@lru_cache(_MOST_KEPT)
def _endpoint(values: Row) -> StoredEndpoint:
    return endpoint_in(read(model_endpoint, values))


@lru_cache(_MOST_KEPT)
def _events(rows: tuple[Row, ...]) -> tuple[StoredEvent, ...]:
    return tuple(engagement_records.event(read(engagement_event, each)) for each in rows)


_RESERVE: Final = Prepared(
    update(model_grant)
    .where(
        model_grant.c.id == bindparam("identity"),
        model_grant.c.tokens - model_grant.c.spent - model_grant.c.held >= bindparam("wanted"),
    )
    .values(held=model_grant.c.held + bindparam("wanted"))
)


def reserve(unit: UnitOfWork, identity: ModelGrantId, tokens: int) -> bool:
    """Hold tokens of a grant for a call; False when there are not as many.

    One statement, so that of calls at the same instant no two hold the same tokens.
    """
    return _RESERVE.run(unit.connection, identity=identity, wanted=tokens) == 1


_BEGIN: Final = Prepared(insert(model_open_call), inserts=model_open_call)


def begin(unit: UnitOfWork, new: OpenCall) -> None:
    """Insert a call under way."""
    _BEGIN.run(
        unit.connection,
        id=new.id,
        engagement=new.engagement,
        granted=new.granted,
        variant=new.variant,
        request_sha256=new.request_sha256,
        held=new.held,
        begun_at=to_microseconds(new.begun_at),
    )


_GONE: Final = Prepared(delete(model_open_call).where(model_open_call.c.id == bindparam("call")))
_SPEND: Final = Prepared(
    update(model_grant)
    .where(model_grant.c.id == bindparam("identity"))
    .values(
        held=model_grant.c.held - bindparam("back"), spent=model_grant.c.spent + bindparam("used")
    )
)


def end(unit: UnitOfWork, call: OpenCall, *, spent: int) -> bool:
    """A call is over and used so many tokens; False when somebody else has ended it."""
    if _GONE.run(unit.connection, call=call.id) == 0:
        return False
    _SPEND.run(unit.connection, identity=call.granted, back=call.held, used=spent)
    return True


def begun_before(unit: UnitOfWork, instant: datetime) -> tuple[OpenCall, ...]:
    """The calls under way that began before."""
    query = select(model_open_call).where(model_open_call.c.begun_at < instant)
    rows = unit.connection.execute(query.order_by(model_open_call.c.begun_at).limit(MOST_LISTED))
    return tuple(
        OpenCall(**row | {"request_sha256": bytes(row["request_sha256"])})
        for row in map(dict, rows.mappings())
    )


_LAST: Final = Prepared(
    select(model_gateway.c.calls, model_gateway.c.head)
    .where(model_gateway.c.engagement == bindparam("of"))
    .with_for_update()
)
_LINK: Final = Prepared(insert(model_call), inserts=model_call)
_HEAD: Final = Prepared(
    update(model_gateway)
    .where(model_gateway.c.engagement == bindparam("of"))
    .values(calls=bindparam("number"), head=bindparam("hash"))
)


def chain(unit: UnitOfWork, call: RecordedCall) -> RecordedCall:
    """Append a call to the record of its engagement; its number and the one before are set here.

    The caller holds the engagement's row, at least against changes, as all who lock both; and its
    gateway has been asked for before.
    """
    of = EngagementId(call.engagement)
    last = _LAST.row(unit.connection, of=of)
    if last is None:
        raise NotFoundError("The engagement has no gateway.")
    calls, previous = last[0], bytes(last[1])
    linked = msgspec.structs.replace(call, number=calls + 1, previous=previous.hex())
    _LINK.run(
        unit.connection,
        engagement=of,
        number=linked.number,
        previous=previous,
        caller=linked.caller,
        variant=linked.variant,
        at=to_microseconds(linked.at),
        outcome=linked.outcome,
        status=linked.status,
        request_sha256=bytes.fromhex(linked.request_sha256),
        answer_sha256=bytes.fromhex(linked.answer_sha256),
        prompt_tokens=linked.prompt_tokens,
        answer_tokens=linked.answer_tokens,
    )
    _HEAD.run(unit.connection, of=of, number=linked.number, hash=linked.hash)
    return linked
