"""Queries on endpoints, grants, calls and rounds; what they are about stays sealed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    Table,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from clearhold.evaluations.call_chain import BEGINNING, RecordedCall
from clearhold.evaluations.gateway.tables import (
    model_call,
    model_canary,
    model_endpoint,
    model_gateway,
    model_grant,
    model_notice,
)
from clearhold.evaluations.model import OVER
from clearhold.evaluations.tables import engagement
from clearhold.kernel.ids import EndpointId, EngagementId, ModelGrantId
from clearhold.store.unit_of_work import UnitOfWork

MOST_LISTED: Final = 500


@dataclass(frozen=True, slots=True)
class StoredGateway:
    """How the gateway of an engagement stands.

    `calls` and `head` are the number and hash of the last recorded call, `anchored` the number of
    the last one that the ledger knows. `suspected_at` is when a call failed last that no probe has
    looked into, `failing_since` when probes began to fail, `outage` the event that says so.
    """

    engagement: EngagementId
    switched_off: bool
    calls: int
    head: bytes
    anchored: int
    suspected_at: datetime | None
    failing_since: datetime | None
    outage: int | None


@dataclass(frozen=True, slots=True)
class StoredEndpoint:
    """A developer's endpoint; where it is, and its key, are sealed."""

    id: EndpointId
    engagement: EngagementId
    sealed_body: bytes
    registered_at: datetime
    withdrawn_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredGrant:
    """What a named evaluator was given; who it is and of which variants, is sealed."""

    id: ModelGrantId
    engagement: EngagementId
    sealed_body: bytes
    secret_hash: bytes | None
    tokens: int
    spent: int
    held: int
    begins_at: datetime
    ends_at: datetime
    made_at: datetime
    withdrawn_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredRound:
    """A canary round; the digests of its answers are sealed."""

    engagement: EngagementId
    number: int
    round: str
    endpoint: EndpointId
    outcome: str
    sealed_body: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class StoredNotice:
    """A notice that was given: of what kind, when it was due and when given."""

    engagement: EngagementId
    kind: str
    due_at: datetime
    given_at: datetime


def gateway(unit: UnitOfWork, of: EngagementId, *, lock: bool = False) -> StoredGateway:
    """The gateway of an engagement, made when it is asked for first."""
    values = {
        "engagement": of,
        "switched_off": False,
        "calls": 0,
        "head": BEGINNING,
        "anchored": 0,
    }
    query = select(model_gateway).where(model_gateway.c.engagement == of)
    row = unit.connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        new = postgresql_insert if unit.connection.dialect.name == "postgresql" else sqlite_insert
        unit.connection.execute(new(model_gateway).values(values).on_conflict_do_nothing())
        row = unit.connection.execute(query.with_for_update() if lock else query).one()
    return gateway_in(row)


def change_gateway(unit: UnitOfWork, of: EngagementId, **values: Any) -> None:
    """Write how a gateway stands."""
    unit.connection.execute(
        update(model_gateway).where(model_gateway.c.engagement == of).values(**values)
    )


def gateways(unit: UnitOfWork) -> tuple[EngagementId, ...]:
    """The engagements that have a gateway, for the service's own rounds.

    Those that are over are among them until the ledger knows their last call.
    """
    goes_on = engagement.c.state.not_in([*OVER])
    query = (
        select(model_gateway.c.engagement)
        .join(engagement, engagement.c.id == model_gateway.c.engagement)
        .where(or_(goes_on, model_gateway.c.calls > model_gateway.c.anchored))
        .order_by(model_gateway.c.engagement)
    )
    return tuple(map(EngagementId, unit.connection.execute(query).scalars()))


def add_endpoint(unit: UnitOfWork, new: StoredEndpoint) -> None:
    """Insert an endpoint, in place of the one there was."""
    withdraw_endpoints(unit, new.engagement)
    _insert(unit, model_endpoint, new)


def withdraw_endpoints(unit: UnitOfWork, of: EngagementId) -> int:
    """No call reaches the endpoints of an engagement any more; how many there were."""
    changed = unit.connection.execute(
        update(model_endpoint)
        .where(model_endpoint.c.engagement == of, model_endpoint.c.withdrawn_at.is_(None))
        .values(withdrawn_at=unit.now)
    )
    return changed.rowcount


def endpoint(unit: UnitOfWork, of: EngagementId) -> StoredEndpoint | None:
    """The endpoint that serves an engagement."""
    query = select(model_endpoint).where(
        model_endpoint.c.engagement == of, model_endpoint.c.withdrawn_at.is_(None)
    )
    row = unit.connection.execute(query).one_or_none()
    return None if row is None else endpoint_in(row)


def add_grant(unit: UnitOfWork, new: StoredGrant) -> None:
    """Insert a grant."""
    _insert(unit, model_grant, new)


def change_grant(unit: UnitOfWork, identity: ModelGrantId, **values: Any) -> None:
    """Write how a grant stands."""
    unit.connection.execute(
        update(model_grant).where(model_grant.c.id == identity).values(**values)
    )


def grant(unit: UnitOfWork, identity: str) -> StoredGrant | None:
    """One grant."""
    query = select(model_grant).where(model_grant.c.id == identity)
    row = unit.connection.execute(query).one_or_none()
    return None if row is None else grant_in(row)


def grants(unit: UnitOfWork, *engagements: EngagementId) -> tuple[StoredGrant, ...]:
    """The grants of engagements, the oldest first."""
    query = select(model_grant).where(model_grant.c.engagement.in_(engagements))
    return tuple(map(grant_in, unit.connection.execute(query.order_by(model_grant.c.id))))


def calls(unit: UnitOfWork, of: EngagementId, *, after: int) -> tuple[RecordedCall, ...]:
    """The record of an engagement after a number, so many calls at once."""
    query = select(model_call).where(model_call.c.engagement == of, model_call.c.number > after)
    rows = unit.connection.execute(query.order_by(model_call.c.number).limit(MOST_LISTED))
    return tuple(
        RecordedCall(
            answer_sha256=bytes(row.answer_sha256).hex(),
            answer_tokens=row.answer_tokens,
            at=row.at,
            caller=row.caller,
            engagement=of,
            number=row.number,
            outcome=row.outcome,
            previous=bytes(row.previous).hex(),
            prompt_tokens=row.prompt_tokens,
            request_sha256=bytes(row.request_sha256).hex(),
            status=row.status,
            variant=row.variant,
        )
        for row in rows
    )


def counted(unit: UnitOfWork, of: EngagementId) -> dict[str, int]:
    """How many calls of an engagement ended in which way."""
    query = (
        select(model_call.c.outcome, func.count().label("times"))
        .where(model_call.c.engagement == of)
        .group_by(model_call.c.outcome)
    )
    return {row.outcome: row.times for row in unit.connection.execute(query)}


@dataclass(frozen=True, slots=True)
class Summed:
    """How many calls there were, and the tokens of both sides of them."""

    calls: int
    tokens: int


def summed(
    unit: UnitOfWork,
    of: EngagementId,
    *,
    first: int | None = None,
    begun_until: datetime | None = None,
) -> Summed:
    """The sum of an engagement's record: of its `first` calls, of those begun until then, or of all."""
    both = func.coalesce(func.sum(model_call.c.prompt_tokens + model_call.c.answer_tokens), 0)
    query = select(func.count(), both).where(model_call.c.engagement == of)
    if first is not None:
        query = query.where(model_call.c.number <= first)
    if begun_until is not None:
        query = query.where(model_call.c.at <= begun_until)
    calls, tokens = unit.connection.execute(query).one()
    return Summed(calls, int(tokens))


def add_round(unit: UnitOfWork, new: StoredRound) -> None:
    """Insert a canary round."""
    _insert(unit, model_canary, new)


def rounds(unit: UnitOfWork, of: EngagementId) -> tuple[StoredRound, ...]:
    """The canary rounds of an engagement, in order."""
    query = select(model_canary).where(model_canary.c.engagement == of)
    return tuple(
        StoredRound(**_fields(row, model_canary) | {"sealed_body": bytes(row.sealed_body)})
        for row in unit.connection.execute(query.order_by(model_canary.c.number))
    )


def give_notice(unit: UnitOfWork, notice: StoredNotice) -> bool:
    """Insert a notice; False when it was given before."""
    new = postgresql_insert if unit.connection.dialect.name == "postgresql" else sqlite_insert
    values = _values(model_notice, notice)
    done = unit.connection.execute(new(model_notice).values(values).on_conflict_do_nothing())
    return done.rowcount == 1


def notices(unit: UnitOfWork, of: EngagementId) -> tuple[StoredNotice, ...]:
    """The notices that were given in an engagement, in order."""
    query = select(model_notice).where(model_notice.c.engagement == of)
    rows = unit.connection.execute(query.order_by(model_notice.c.given_at, model_notice.c.due_at))
    return tuple(StoredNotice(**_fields(row, model_notice)) for row in rows)


def gateway_in(row: Any) -> StoredGateway:
    """A gateway from what stands in its row."""
    return StoredGateway(**_fields(row, model_gateway) | {"head": bytes(row.head)})


def endpoint_in(row: Any) -> StoredEndpoint:
    """An endpoint from what stands in its row."""
    fields = _fields(row, model_endpoint) | {"sealed_body": bytes(row.sealed_body)}
    return StoredEndpoint(**fields)


def grant_in(row: Any) -> StoredGrant:
    """A grant from what stands in its row."""
    secret = None if row.secret_hash is None else bytes(row.secret_hash)
    fields = _fields(row, model_grant) | {"sealed_body": bytes(row.sealed_body)}
    return StoredGrant(**fields | {"secret_hash": secret})


def _fields(row: Any, table: Table) -> dict[str, Any]:
    return {each.name: getattr(row, each.name) for each in table.c}


def _values(table: Table, record: Any) -> Mapping[str, Any]:
    return {each.name: getattr(record, each.name) for each in table.c}


def _insert(unit: UnitOfWork, table: Table, record: Any) -> None:
    unit.connection.execute(insert(table).values(_values(table, record)))
