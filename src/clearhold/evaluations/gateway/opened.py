"""What is sealed of endpoints and grants, opened once and kept in memory for a while.

A call takes milliseconds, and each release of what is sealed a leaf in the ledger; neither endpoints
nor grants ever change, only who may use them, and that is looked at for each call.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, TypeVar

import msgspec

from clearhold.evaluations.gateway.records import StoredEndpoint, StoredGrant
from clearhold.evaluations.model import AccessKind
from clearhold.kernel.ids import CompartmentId
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.vault.service import Vault
from clearhold.wire.model_calls import Dialect

READER: Final = "service:model-gateway"
_KEPT: Final = timedelta(minutes=10)
_MOST: Final = 1000
_Body = TypeVar("_Body")


class EndpointBody(msgspec.Struct, frozen=True, kw_only=True):
    """What is sealed of an endpoint: where, in which words, its names of variants, and its key.

    `among` are the variants of the engagement in their order.
    """

    address: str
    among: tuple[str, ...] = ()
    credential: str
    dialect: Dialect
    models: dict[str, str]

    def __repr__(self) -> str:
        """Without the key, which no error and no log may repeat."""
        return f"EndpointBody({self.dialect})"


class GrantBody(msgspec.Struct, frozen=True, kw_only=True):
    """What is sealed of a grant: the evaluator by name, which variants, which kinds of access.

    `among` are the variants of the engagement in their order.
    """

    among: tuple[str, ...] = ()
    evaluator: str
    kinds: tuple[AccessKind, ...]
    variants: tuple[str, ...]


def place_of(body: EndpointBody | GrantBody, variant: str) -> int:
    """The place of a variant in its engagement, from 1; 0 for none of it, whose name none repeats."""
    return body.among.index(variant) + 1 if variant in body.among else 0


class Opened:
    """Opens what is sealed of endpoints and grants."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._kept: OrderedDict[str, tuple[datetime, object]] = OrderedDict()
        self._lock = threading.Lock()

    def endpoint(
        self, unit: UnitOfWork, within: CompartmentId, stored: StoredEndpoint
    ) -> EndpointBody:
        """An endpoint with its key, for the gateway's own use alone."""
        return self._once(
            unit,
            stored.id,
            lambda: self._open(
                unit, within, ("model_endpoint", stored.id, stored.sealed_body), EndpointBody
            ),
        )

    def grant(self, unit: UnitOfWork, within: CompartmentId, stored: StoredGrant) -> GrantBody:
        """Whose grant it is, and of what."""
        return self._once(
            unit,
            stored.id,
            lambda: self._open(
                unit, within, ("model_grant", stored.id, stored.sealed_body), GrantBody
            ),
        )

    def seal(
        self,
        unit: UnitOfWork,
        within: CompartmentId,
        place: tuple[str, str],
        body: EndpointBody | GrantBody,
    ) -> bytes:
        """Seal a body for a row of a table."""
        table, row = place
        content = msgspec.json.encode(body)
        return self._vault.seal(unit, within, place=(table, "sealed_body", row), content=content)

    def _open(
        self,
        unit: UnitOfWork,
        within: CompartmentId,
        what: tuple[str, str, bytes],
        kind: type[_Body],
    ) -> _Body:
        table, row, sealed = what
        content = self._vault.unseal(
            unit, within, place=(table, "sealed_body", row), sealed=sealed, reader=READER
        )
        return msgspec.json.decode(content, type=kind)

    def _once(self, unit: UnitOfWork, identity: str, make: Callable[[], _Body]) -> _Body:
        with self._lock:
            known = self._kept.get(identity)
            if known is not None and unit.now - known[0] < _KEPT:
                return known[1]  # type: ignore[return-value]  # one id has one kind
        made = make()
        with self._lock:
            self._kept[identity] = (unit.now, made)
            self._kept.move_to_end(identity)
            if len(self._kept) > _MOST:
                self._kept.popitem(last=False)
        return made
