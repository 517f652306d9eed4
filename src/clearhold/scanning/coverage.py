"""Recording what scans covered, and the coverage map of each package.

A record is sealed in its lease's compartment. What is shared goes into the sealed register of its
package, from which nothing leads back: only the record, for its holder, names its entry. What is
private touches no register, so it cannot be seen in any map or suggestion of others.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

import msgspec

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.catalogue import records as catalogue
from clearhold.catalogue.model import Technique
from clearhold.kernel.errors import InvalidError, NotFoundError
from clearhold.kernel.ids import CompartmentId, new_id
from clearhold.kernel.purl import Purl
from clearhold.parties import wishes
from clearhold.scanning import coverage_records as records
from clearhold.scanning import paths as globs
from clearhold.scanning.coverage_model import (
    Coverage,
    Entry,
    MapRow,
    NewCoverage,
    Sharing,
    areas_of,
    check,
    map_of,
    monday_of,
    showable,
    week_of,
    with_entry,
)
from clearhold.scanning.lanes import READER
from clearhold.scanning.model import MOST_PATHS, Depth, Outcome, SoftwareScope
from clearhold.scanning.records import StoredLease
from clearhold.scanning.scopes import SealedScopes
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Sealed, Vault

MOST_LISTED: Final = 100


class _Body(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is sealed with a coverage record; `token` names its entry in the map of `package`."""

    technique: Technique
    outcome: Outcome
    effort: dict[str, int]
    result_sha256: str
    package: str = ""
    version: str = ""
    commit: str = ""
    paths: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    depth: Depth = Depth.STANDARD
    token: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The id of a new record, and from which day the map shows it; None when it is private."""

    id: str
    shown_from: date | None


@dataclass(frozen=True, slots=True)
class CoverageMap:
    """What is known to have been scanned of a package before the day `as_of`, a Monday."""

    package: str
    as_of: date
    rows: tuple[MapRow, ...]


class CoverageMaps:
    """Reads and writes the sealed registers of packages."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def key(self, package: Purl) -> bytes:
        """The keyed name of a package's map."""
        return self._vault.matching_hash("coverage-map", str(package.package))

    def who(self, party: str) -> str:
        """What stands in an entry for its party."""
        return self._vault.matching_hash("coverage-who", party).hex()[:32]

    def read(self, unit: UnitOfWork, packages: Iterable[Purl]) -> dict[Purl, tuple[Entry, ...]]:
        """The entries of some packages."""
        by_key = {self.key(each): each.package for each in packages}
        with unit.as_service():
            found = records.maps(unit, by_key)
            sealed = [
                Sealed(each.compartment, _place(each.package), each.register) for each in found
            ]
            opened = self._vault.unseal_all(unit, sealed, reader=READER)
        return {
            by_key[each.package]: msgspec.json.decode(content, type=tuple[Entry, ...])
            for each, content in zip(found, opened, strict=True)
        }

    def change(
        self,
        unit: UnitOfWork,
        package: Purl,
        how: Callable[[tuple[Entry, ...]], tuple[Entry, ...]],
    ) -> None:
        """Change the entries of a package; others who do so wait."""
        key = self.key(package)
        with unit.as_service():
            known = records.hold_map(unit, key)
            if known is None:
                within = self._vault.open_compartment(unit)
                first = records.StoredMap(key, within, self._seal(unit, within, key, ()))
                records.make_map(unit, first)
                known = records.hold_map(unit, key)
                assert known is not None  # noqa: S101  # made here or by who was faster
            content = self._vault.unseal(
                unit, known.compartment, place=_place(key), sealed=known.register, reader=READER
            )
            entries = how(msgspec.json.decode(content, type=tuple[Entry, ...]))
            sealed = self._seal(unit, known.compartment, key, entries)
            records.write_map(unit, key, content=sealed)

    def _seal(
        self, unit: UnitOfWork, within: CompartmentId, key: bytes, entries: tuple[Entry, ...]
    ) -> bytes:
        return self._vault.seal(
            unit, within, place=_place(key), content=msgspec.json.encode(entries)
        )


class CoverageService:
    """Records of coverage, the choice to share them, and the maps they make."""

    def __init__(self, sessions: Sessions, vault: Vault, scopes: SealedScopes) -> None:
        self._sessions = sessions
        self._vault = vault
        self._scopes = scopes
        self._maps = CoverageMaps(vault)

    def record(self, unit: UnitOfWork, held: StoredLease, new: NewCoverage) -> Recorded:
        """Record what a scan under a lease covered, and share it if its party wants that.

        Raises `InvalidError` for what lies outside the lease, and for what shall be shared and
        names no version.
        """
        check(new)
        scope = self._scopes.open(unit, held, reader=READER).scope
        software = scope if isinstance(scope, SoftwareScope) else None
        named = new.version or new.commit or new.paths
        if software is None and (named or new.sharing is Sharing.SHARED):
            raise InvalidError(
                "Versions, paths and the coverage map are for software.",
                next_step="Leave them out for a live system.",
            )
        nothing: tuple[str, str, tuple[str, ...]] = ("", "", ())
        version, commit, paths = nothing if software is None else _looked_at(software, new)
        body = _Body(
            technique=scope.technique,
            outcome=new.outcome,
            effort=dict(new.effort),
            result_sha256=new.result_sha256,
            package="" if software is None else str(software.package),
            version=version,
            commit=commit,
            paths=paths,
            functions=new.functions,
            depth=new.depth or (Depth.STANDARD if software is None else software.depth),
        )
        if self._shall_share(unit, held, new, body):
            body = msgspec.structs.replace(body, token=secrets.token_hex(16))
        identity = new_id(unit.now)
        records.add(unit, identity, held.lease.id, body=self._seal(unit, held, identity, body))
        unit.record(
            "scanning:coverage:record",
            actor=READER,
            subject=identity,
            compartment=held.lease.compartment,
            detail={"lease": held.lease.id},
        )
        if not body.token:
            return Recorded(identity, None)
        self._share(unit, held, body)
        return Recorded(identity, monday_of(week_of(unit.now) + 1))

    def list(self, actor: Actor) -> tuple[Coverage, ...]:
        """What the actor's own scans covered, the newest first."""
        actor.need(Permission.SCANNING_READ)
        with self._sessions.transaction() as unit:
            return self.own(unit, actor, limit=MOST_LISTED)

    def own(self, unit: UnitOfWork, actor: Actor, *, limit: int) -> tuple[Coverage, ...]:
        """The newest of the actor's own records, released to them."""
        rows = records.listing(unit, actor, limit=limit)
        sealed = [Sealed(row.compartment, _body_place(row.id), row.body) for row in rows]
        opened = self._vault.unseal_all(unit, sealed, reader=actor.principal)
        return tuple(
            _coverage(row, msgspec.json.decode(content, type=_Body))
            for row, content in zip(rows, opened, strict=True)
        )

    def withdraw(self, actor: Actor, identity: str) -> Coverage:
        """Take a shared record of the actor's out of the map again, at once and for good.

        Withdrawing a private one changes nothing. Raises `NotFoundError` for any other.
        """
        actor.need(Permission.SCANNING_CLAIM)
        with self._sessions.transaction() as unit:
            found = records.listing(unit, actor, limit=1, identity=identity)
            if not found:
                raise NotFoundError(
                    "There is no such coverage record.",
                    next_step="See `clearhold scan coverage` for yours.",
                )
            (row,) = found
            (content,) = self._vault.unseal_all(
                unit,
                [Sealed(row.compartment, _body_place(row.id), row.body)],
                reader=actor.principal,
            )
            body = msgspec.json.decode(content, type=_Body)
            if not body.token:
                return _coverage(row, body)
            token = body.token
            self._maps.change(
                unit,
                Purl.parse(body.package),
                lambda entries: tuple(each for each in entries if each.token != token),
            )
            body = msgspec.structs.replace(body, token="")
            sealed = self._vault.seal(
                unit,
                row.compartment,
                place=_body_place(row.id),
                content=msgspec.json.encode(body, order="sorted"),
            )
            records.replace_body(unit, row.id, body=sealed)
            unit.record(
                "scanning:coverage:withdraw",
                actor=actor.principal,
                subject=row.id,
                compartment=row.compartment,
            )
            return _coverage(row, body)

    def choose(self, actor: Actor, sharing: Sharing) -> Sharing:
        """Say once whether the party shares what it will record from now on."""
        actor.need(Permission.SCANNING_CLAIM)
        with self._sessions.transaction() as unit:
            if records.sharing_of(unit, actor.party) is not sharing:
                records.choose(unit, actor.party, sharing)
                unit.record(
                    "scanning:sharing:choose",
                    actor=actor.principal,
                    subject=actor.party,
                    detail={"sharing": sharing},
                )
            return sharing

    def chosen(self, actor: Actor) -> Sharing:
        """Whether the actor's party shares what it records, unless a record says otherwise."""
        actor.need(Permission.SCANNING_READ)
        with self._sessions.transaction() as unit:
            return records.sharing_of(unit, actor.party)

    def map(self, actor: Actor, package: str) -> CoverageMap:
        """What others shared of having scanned a package.

        Raises `ConflictError` when its owner does not want it scanned: a map is an invitation.
        """
        actor.need(Permission.SCANNING_READ)
        purl = Purl.parse(package).package
        with self._sessions.transaction() as unit:
            if wishes.for_package(unit, purl).do_not_scan:
                raise wishes.opted_out()
            week = week_of(unit.now)
            listed = catalogue.targets(unit, actor, purl)
            older = listed[0].versions[:-1] if listed else ()
            entries = self._maps.read(unit, (purl,)).get(purl, ())
            unit.record("scanning:map:read", actor=actor.principal, subject=actor.party)
            rows = map_of(entries, this_week=week, older=older)
            return CoverageMap(str(purl), monday_of(week), rows)

    def _shall_share(
        self, unit: UnitOfWork, held: StoredLease, new: NewCoverage, body: _Body
    ) -> bool:
        sharing = new.sharing or records.sharing_of(unit, held.lease.party)
        if sharing is Sharing.PRIVATE or new.nothing:
            return False
        if body.package and showable(body.version or body.commit):
            return True
        if new.sharing is None:
            return False  # a standing choice never refuses a record
        raise InvalidError(
            "Only what names a version or commit can be shared.",
            next_step="Say which version was scanned.",
        )

    def _share(self, unit: UnitOfWork, held: StoredLease, body: _Body) -> None:
        entry = Entry(
            token=body.token,
            who=self._maps.who(held.lease.party),
            state=body.version or body.commit,
            technique=body.technique,
            areas=areas_of(body.paths),
            depth=body.depth,
            week=week_of(unit.now),
            completed=body.outcome is not Outcome.ABORTED,
        )
        self._maps.change(
            unit, Purl.parse(body.package), lambda entries: with_entry(entries, entry)
        )

    def _seal(self, unit: UnitOfWork, held: StoredLease, identity: str, body: _Body) -> bytes:
        return self._vault.seal(
            unit,
            held.lease.compartment,
            place=_body_place(identity),
            content=msgspec.json.encode(body, order="sorted"),
        )


def _looked_at(scope: SoftwareScope, new: NewCoverage) -> tuple[str, str, tuple[str, ...]]:
    """The version, commit and path globs that were scanned, checked against the lease."""
    version, commit = new.version, new.commit
    if not version and not commit:
        leased = scope.versions.commits
        version, commit = scope.versions.exact or "", leased[0] if len(leased) == 1 else ""
    else:
        named = commit if scope.versions.commits or not version else version
        if not named or not scope.covers(scope.package, named, None):
            raise InvalidError(
                "The lease does not cover that version.",
                next_step="Name a version or commit the lease is of; with a commit, its version "
                "too if the lease is of versions.",
            )
    if len(new.paths) > MOST_PATHS:
        raise InvalidError(
            f"At most {MOST_PATHS} path globs can be named.", next_step="Use wider globs."
        )
    paths = tuple(dict.fromkeys(globs.normal(path) for path in new.paths))
    if not paths and not new.measured:
        paths = scope.paths
    for path in paths:
        if not any(globs.meet(path, leased) for leased in scope.paths):
            raise InvalidError(
                "The lease does not cover one of these paths.",
                next_step="Name paths that the lease is of.",
            )
    return version, commit, paths


def _coverage(row: records.StoredCoverage, body: _Body) -> Coverage:
    shared = bool(body.token)
    return Coverage(
        id=row.id,
        lease=row.lease,
        recorded_at=row.recorded_at,
        technique=body.technique,
        outcome=body.outcome,
        effort=body.effort,
        result_sha256=body.result_sha256,
        package=body.package,
        version=body.version,
        commit=body.commit,
        paths=body.paths,
        functions=body.functions,
        depth=body.depth,
        sharing=Sharing.SHARED if shared else Sharing.PRIVATE,
        shown_from=monday_of(week_of(row.recorded_at) + 1) if shared else None,
    )


def _place(key: bytes) -> tuple[str, str, str]:
    return ("coverage_map", "register", key.hex())


def _body_place(identity: str) -> tuple[str, str, str]:
    return ("scan_coverage", "body", identity)
