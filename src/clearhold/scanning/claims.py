"""Deciding a claim inside its transaction, while the package's lane is held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from clearhold.access.grants import Grantee, read_in
from clearhold.access.model import Actor
from clearhold.catalogue import records as catalogue
from clearhold.kernel.errors import ConflictError
from clearhold.kernel.ids import LeaseId, new_id
from clearhold.parties import wishes
from clearhold.scanning import records, suggest
from clearhold.scanning.lanes import READER, Held, Lanes
from clearhold.scanning.model import Lease, Mode, Scope, State, collide, expiry, overlap
from clearhold.scanning.scopes import LeaseView, SealedContent, SealedScopes
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.vault.service import Vault

_PACKAGES_LOOKED_AT = 8


@dataclass(frozen=True, slots=True)
class Wanted:
    """A claim as it came; `request` is the keyed digest by which a repeated one is recognised."""

    scope: Scope
    mode: Mode
    window: timedelta
    budget_s: int
    key: str
    request: bytes


class Claims:
    """Grants or refuses claims."""

    def __init__(self, vault: Vault, lanes: Lanes, scopes: SealedScopes) -> None:
        self._vault = vault
        self._lanes = lanes
        self._scopes = scopes

    def decide(self, unit: UnitOfWork, actor: Actor, wanted: Wanted) -> LeaseView | ConflictError:
        """The lease, or the refusal, which the caller raises once this look is in the ledger.

        Raises `ConflictError` itself when the key was used for another claim.
        """
        lane = self._lanes.of(wanted.scope.package)
        fence, held = self._lanes.enter(unit, lane)
        known = records.by_key(unit, actor.party, wanted.key)
        if known is not None:
            if known.request != wanted.request:
                raise ConflictError(
                    "This idempotency key was used for another claim.",
                    next_step="Use a new key for each claim.",
                )
            return self._scopes.view(unit, actor, known)
        if wishes.for_package(unit, wanted.scope.package).do_not_scan:
            unit.record("scanning:lease:refuse", actor=actor.principal, subject=actor.party)
            return wishes.opted_out()
        met = {each.lease.id: overlap(wanted.scope, each.scope) for each in held}
        against = [
            each for each in held if collide(wanted.mode, each.lease.mode) and met[each.lease.id]
        ]
        if against:
            return self._refusal(unit, actor, wanted, held=held, against=against)
        touched = {path for paths in met.values() for path in paths}
        content = SealedContent(
            wanted.scope, tuple(path for path in wanted.scope.paths if path in touched)
        )
        new = self._grant(unit, actor, wanted, fence=fence, lane=lane, content=content)
        scopes = {each.lease.id: each.scope for each in held} | {new.lease.id: wanted.scope}
        self._lanes.register(unit, lane, scopes)
        return new

    def _grant(
        self,
        unit: UnitOfWork,
        actor: Actor,
        wanted: Wanted,
        *,
        fence: int,
        lane: bytes,
        content: SealedContent,
    ) -> LeaseView:
        within = self._vault.open_compartment(unit)
        read_in(unit, within, Grantee(actor.party), tier=0, reason="holder", granted_by=READER)
        window_ends_at = unit.now + wanted.window
        lease = Lease(
            id=LeaseId(new_id(unit.now)),
            party=actor.party,
            compartment=within,
            mode=wanted.mode,
            state=State.GRANTED,
            fence=fence,
            granted_at=unit.now,
            expires_at=expiry(unit.now, window_ends_at),
            window_ends_at=window_ends_at,
            budget_s=wanted.budget_s,
        )
        sealed = self._scopes.seal(unit, within, lease.id, content)
        records.add(unit, records.StoredLease(lease, lane, sealed, wanted.key, wanted.request))
        unit.record(
            "scanning:lease:grant",
            actor=actor.principal,
            subject=lease.id,
            compartment=within,
            detail={"fence": str(fence), "mode": wanted.mode},
        )
        return LeaseView(lease, lease.state, content.scope, content.also_leased)

    def _refusal(
        self,
        unit: UnitOfWork,
        actor: Actor,
        wanted: Wanted,
        *,
        held: Sequence[Held],
        against: Sequence[Held],
    ) -> ConflictError:
        scope = wanted.scope
        touched = {path for each in against for path in overlap(scope, each.scope)}
        until = max(each.lease.window_ends_at for each in against)
        unit.record("scanning:lease:refuse", actor=actor.principal, subject=actor.party)
        return ConflictError(
            "Part of this scope is leased already.",
            next_step="Claim one of the free scopes, claim notify-only, or ask again later.",
            facts={
                "taken": scope.to_plain()
                | {"paths": [path for path in scope.paths if path in touched]},
                "until": until.isoformat(),
                "own_leases": [
                    each.lease.id for each in against if each.lease.party == actor.party
                ],
                "free": [each.to_plain() for each in self._free(unit, actor, wanted, held)],
            },
        )

    def _free(
        self, unit: UnitOfWork, actor: Actor, wanted: Wanted, held: Sequence[Held]
    ) -> tuple[Scope, ...]:
        scope, mode = wanted.scope, wanted.mode
        listed = {each.package: each for each in catalogue.targets(unit, actor)}
        here = [(each.scope, each.lease.mode) for each in held]
        near = suggest.in_package(scope, mode, listed.pop(scope.package, None), here)
        # An order of each party's own, and few of many: what is left out tells little.
        others = sorted(
            (
                each
                for each in listed.values()
                if not wishes.for_package(unit, each.package).do_not_scan
            ),
            key=lambda each: self._vault.matching_hash("order", f"{actor.party}\0{each.package}"),
        )[:_PACKAGES_LOOKED_AT]
        there = self._lanes.look(unit, [self._lanes.of(each.package) for each in others])
        taken = [(each.scope, each.lease.mode) for each in there]
        far = (suggest.elsewhere(scope, mode, target, taken) for target in others)
        return (*near, *[each for each in far if each is not None][: suggest.MOST_ELSEWHERE])
