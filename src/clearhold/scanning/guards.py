"""What forbids a scan whoever asks for it: the owner's wishes, and per kind of scope what is added.

A guard is asked in the transaction of a claim before anything is said of other leases, when a lease
is kept, and when a service acts under it. It answers with the refusal, or with None.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from clearhold.kernel.errors import ClearholdError
from clearhold.kernel.ids import LeaseId, PartyId
from clearhold.parties import wishes
from clearhold.scanning.model import Mode
from clearhold.scanning.scope import Scope
from clearhold.scanning.software_scope import SoftwareScope
from clearhold.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Intent:
    """A scan that is meant or under way: whose, what, how, until when; its lease once it has one."""

    party: PartyId
    scope: Scope
    mode: Mode
    ends_at: datetime
    lease: LeaseId | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """What stands against a claim of a party, whatever others hold: a refusal, and own leases."""

    refusal: ClearholdError | None
    own: tuple[LeaseId, ...]


Guard = Callable[[UnitOfWork, Intent], ClearholdError | None]


def as_owners_wish(unit: UnitOfWork, intent: Intent) -> ClearholdError | None:
    """Refuse to scan a package whose owner does not want it."""
    scope = intent.scope
    if isinstance(scope, SoftwareScope) and wishes.for_package(unit, scope.package).do_not_scan:
        return wishes.opted_out()
    return None
