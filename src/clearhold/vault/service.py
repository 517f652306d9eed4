"""Sealing and opening what is under embargo."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from sqlalchemy import Connection, insert, select

from clearhold.kernel.errors import IntegrityError, NotFoundError
from clearhold.kernel.ids import ArtifactId, CompartmentId, new_id
from clearhold.ports.blobs import BlobStore
from clearhold.ports.keys import KeyRing, WrappedKey
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.vault import envelope, records, releases
from clearhold.vault.tables import artifact, compartment


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed field: in which compartment it lies, its (table, column, row), and its bytes."""

    within: CompartmentId
    place: tuple[str, str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Fresh:
    """A compartment opened in this transaction, with its key, which no query has to fetch again."""

    id: CompartmentId
    key: bytes = field(repr=False)

    def seal(self, place: tuple[str, str, str], content: bytes) -> bytes:
        """Encrypt `content` for `place`, which is (table, column, row)."""
        return envelope.close(self.key, self.id, place=place, content=content)


@dataclass(frozen=True, slots=True)
class Kept:
    """An artefact that is to be kept: in which compartment, its bytes and their media type."""

    within: Fresh
    content: bytes
    media_type: str


class Vault:
    """Seals and opens fields and artefacts by compartment."""

    def __init__(
        self, ring: KeyRing, blobs: BlobStore, *, releases_per_hour: int = releases.USUAL_LIMIT
    ) -> None:
        self._ring = ring
        self._blobs = blobs
        self._releases_per_hour = releases_per_hour

    def open_compartment(self, unit: UnitOfWork) -> CompartmentId:
        """Make a compartment with a key of its own."""
        identity = CompartmentId(new_id(unit.now))
        records.hold_wrapping(unit.connection)
        wrapped = self._ring.wrap(secrets.token_bytes(32), context=identity.encode())
        unit.connection.execute(
            insert(compartment).values(
                id=identity,
                opened_at=unit.now,
                kek=wrapped.kek,
                wrapped_key=wrapped.ciphertext,
            )
        )
        return identity

    def open_many(self, unit: UnitOfWork, count: int) -> tuple[Fresh, ...]:
        """Make `count` compartments, each with a key of its own, in as many queries as one takes."""
        if not count:
            return ()
        records.hold_wrapping(unit.connection)
        opened, rows = [], []
        for _ in range(count):
            fresh = Fresh(CompartmentId(new_id(unit.now)), secrets.token_bytes(32))
            wrapped = self._ring.wrap(fresh.key, context=fresh.id.encode())
            opened.append(fresh)
            rows.append(
                {
                    "id": fresh.id,
                    "opened_at": unit.now,
                    "kek": wrapped.kek,
                    "wrapped_key": wrapped.ciphertext,
                }
            )
        unit.connection.execute(insert(compartment), rows)
        return tuple(opened)

    def store_many(self, unit: UnitOfWork, kept: Sequence[Kept]) -> tuple[ArtifactId, ...]:
        """Keep artefacts in compartments opened just now, as `store` does, in one query."""
        identities, rows = [], []
        for each in kept:
            identity = ArtifactId(new_id(unit.now))
            digest = self._blobs.put(
                each.within.seal(("artifact", "content", identity), each.content)
            )
            identities.append(identity)
            rows.append(
                {
                    "id": identity,
                    "compartment": each.within.id,
                    "media_type": each.media_type,
                    "size": len(each.content),
                    "stored_as": digest,
                    "made_at": unit.now,
                }
            )
        if rows:
            unit.connection.execute(insert(artifact), rows)
        return tuple(identities)

    def seal(
        self,
        unit: UnitOfWork,
        within: CompartmentId,
        *,
        place: tuple[str, str, str],
        content: bytes,
    ) -> bytes:
        """Encrypt `content` for `place`, which is (table, column, row)."""
        key = self._key(unit.connection, within)
        return envelope.close(key, within, place=place, content=content)

    def unseal(
        self,
        unit: UnitOfWork,
        within: CompartmentId,
        *,
        place: tuple[str, str, str],
        sealed: bytes,
        reader: str,
    ) -> bytes:
        """Decrypt what stands at `place` and release it to `reader`, which the ledger records.

        Raises `IntegrityError` when the bytes were changed, moved, or their key destroyed, and
        `LimitError`, here or before the commit, when the reader was given too much within an hour.
        """
        envelope.known(sealed)
        key = self._key(unit.connection, within)
        opened = envelope.reopen(key, within, place=place, sealed=sealed)
        releases.note(unit, reader, within, limit=self._releases_per_hour)
        unit.record(
            "vault:plaintext:release",
            actor=reader,
            subject=place[2],
            compartment=within,
            detail={"table": place[0], "column": place[1]},
        )
        return opened

    def unseal_all(
        self, unit: UnitOfWork, sealed: Sequence[Sealed], *, reader: str
    ) -> tuple[bytes, ...]:
        """Decrypt and release several fields as `unseal` does, with one query for their keys."""
        keys = self._keys(unit.connection, {each.within for each in sealed})
        opened = []
        for each in sealed:
            envelope.known(each.content)
            key = keys[each.within]
            opened.append(envelope.reopen(key, each.within, place=each.place, sealed=each.content))
            releases.note(unit, reader, each.within, limit=self._releases_per_hour)
            unit.record(
                "vault:plaintext:release",
                actor=reader,
                subject=each.place[2],
                compartment=each.within,
                detail={"table": each.place[0], "column": each.place[1]},
            )
        return tuple(opened)

    def unseal_batch(
        self,
        unit: UnitOfWork,
        within: CompartmentId,
        *,
        place: tuple[str, str],
        rows: Sequence[tuple[str, bytes]],
        reader: str,
    ) -> tuple[bytes, ...]:
        """Decrypt and release one column of many rows, each with what is sealed there.

        For services that take in much at once: one leaf says of what, and of how many rows.
        """
        if not rows:
            return ()
        key = self._key(unit.connection, within)
        opened = tuple(
            envelope.reopen(key, within, place=(*place, row), sealed=sealed) for row, sealed in rows
        )
        for _ in rows:
            releases.note(unit, reader, within, limit=self._releases_per_hour)
        unit.record(
            "vault:plaintext:release",
            actor=reader,
            subject=within,
            compartment=within,
            detail={"table": place[0], "column": place[1], "rows": str(len(rows))},
        )
        return opened

    def store(
        self, unit: UnitOfWork, within: CompartmentId, *, content: bytes, media_type: str
    ) -> ArtifactId:
        """Keep `content` as a sealed artefact and return its id."""
        identity = ArtifactId(new_id(unit.now))
        place = ("artifact", "content", identity)
        digest = self._blobs.put(self.seal(unit, within, place=place, content=content))
        unit.connection.execute(
            insert(artifact).values(
                id=identity,
                compartment=within,
                media_type=media_type,
                size=len(content),
                stored_as=digest,
                made_at=unit.now,
            )
        )
        return identity

    def fetch(self, unit: UnitOfWork, identity: ArtifactId, *, reader: str) -> bytes:
        """Open an artefact for `reader`, which the ledger records.

        The caller has already shown that `reader` may see the artefact's compartment.
        """
        row = unit.connection.execute(
            select(artifact.c.compartment, artifact.c.stored_as, artifact.c.removed_at).where(
                artifact.c.id == identity
            )
        ).one_or_none()
        if row is None:
            raise NotFoundError("There is no such artefact.")
        if row.removed_at is not None:
            raise _expunged()
        return self.unseal(
            unit,
            CompartmentId(row.compartment),
            place=("artifact", "content", identity),
            sealed=self._blobs.get(row.stored_as),
            reader=reader,
        )

    def matching_hash(self, kind: str, value: str) -> bytes:
        """What stands in an index for `value`: equal values match, and nothing can be read back."""
        return self._ring.keyed_hash(f"matching:{kind}", value.encode())

    def request_key(self, party: str, key: str) -> str:
        """What is stored of a key that a party names a request by: it may say what it is about."""
        return self.matching_hash("request-key", f"{party}:{key}").hex()

    def destroy(self, unit: UnitOfWork, within: CompartmentId, *, actor: str) -> None:
        """Expunge a compartment by destroying its key; what it sealed can never be opened again."""
        unit.connection.execute(
            compartment.update()
            .where(compartment.c.id == within)
            .values(wrapped_key=None, destroyed_at=unit.now)
        )
        unit.record("vault:compartment:destroy", actor=actor, subject=within, compartment=within)

    def _key(self, connection: Connection, within: CompartmentId) -> bytes:
        return self._opened(connection, within, _wrapped(connection, within))

    def _keys(
        self, connection: Connection, compartments: AbstractSet[CompartmentId]
    ) -> dict[CompartmentId, bytes]:
        rows = connection.execute(
            select(compartment.c.id, compartment.c.kek, compartment.c.wrapped_key).where(
                compartment.c.id.in_(compartments), compartment.c.wrapped_key.is_not(None)
            )
        )
        wrapped = {
            CompartmentId(row.id): WrappedKey(row.kek, bytes(row.wrapped_key)) for row in rows
        }
        if wrapped.keys() != compartments:
            raise _expunged()
        return {within: self._opened(connection, within, each) for within, each in wrapped.items()}

    def _opened(self, connection: Connection, within: CompartmentId, wrapped: WrappedKey) -> bytes:
        try:
            return self._ring.unwrap(wrapped, context=within.encode())
        except IntegrityError:
            # A rotation may have wrapped it anew between the reading and the opening.
            anew = _wrapped(connection, within)
            if anew == wrapped:
                raise
            return self._ring.unwrap(anew, context=within.encode())


def _wrapped(connection: Connection, within: CompartmentId) -> WrappedKey:
    row = connection.execute(
        select(compartment.c.kek, compartment.c.wrapped_key).where(compartment.c.id == within)
    ).one_or_none()
    if row is None or row.wrapped_key is None:
        raise _expunged()
    return WrappedKey(row.kek, bytes(row.wrapped_key))


def _expunged() -> IntegrityError:
    return IntegrityError("This material was expunged: its key no longer exists.")
