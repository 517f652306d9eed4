"""Sealing and opening what is under embargo.

A sealed field is one version byte, a 12-byte nonce and AES-256-GCM output; its additional data
binds it to its table, column, row and compartment, so a value moved elsewhere does not open.
"""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, insert, select

from clearhold.kernel.errors import IntegrityError, NotFoundError
from clearhold.kernel.ids import ArtifactId, CompartmentId, new_id
from clearhold.ports.blobs import BlobStore
from clearhold.ports.keys import KeyRing, WrappedKey
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.vault.tables import artifact, compartment

_VERSION = b"\x01"
_NONCE = 12


class Vault:
    """Seals and opens fields and artefacts by compartment."""

    def __init__(self, ring: KeyRing, blobs: BlobStore) -> None:
        self._ring = ring
        self._blobs = blobs

    def open_compartment(self, unit: UnitOfWork) -> CompartmentId:
        """Make a compartment with a key of its own."""
        identity = CompartmentId(new_id(unit.now))
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

    def seal(
        self,
        unit: UnitOfWork,
        within: CompartmentId,
        *,
        place: tuple[str, str, str],
        content: bytes,
    ) -> bytes:
        """Encrypt `content` for `place`, which is (table, column, row)."""
        nonce = secrets.token_bytes(_NONCE)
        key = self._key(unit.connection, within)
        sealed = AESGCM(key).encrypt(nonce, content, _binding(within, place))
        return _VERSION + nonce + sealed

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

        Raises `IntegrityError` when the bytes were changed, moved, or their key destroyed.
        """
        opened = self._decrypt(unit.connection, within, place, sealed)
        unit.record(
            "vault:plaintext:release",
            actor=reader,
            subject=place[2],
            compartment=within,
            detail={"table": place[0], "column": place[1]},
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
            select(artifact.c.compartment, artifact.c.stored_as).where(artifact.c.id == identity)
        ).one_or_none()
        if row is None:
            raise NotFoundError("There is no such artefact.")
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

    def destroy(self, unit: UnitOfWork, within: CompartmentId, *, actor: str) -> None:
        """Expunge a compartment by destroying its key; what it sealed can never be opened again."""
        unit.connection.execute(
            compartment.update()
            .where(compartment.c.id == within)
            .values(wrapped_key=None, destroyed_at=unit.now)
        )
        unit.record("vault:compartment:destroy", actor=actor, subject=within, compartment=within)

    def _key(self, connection: Connection, within: CompartmentId) -> bytes:
        row = connection.execute(
            select(compartment.c.kek, compartment.c.wrapped_key).where(compartment.c.id == within)
        ).one_or_none()
        if row is None or row.wrapped_key is None:
            raise IntegrityError("This material was expunged: its key no longer exists.")
        wrapped = WrappedKey(row.kek, bytes(row.wrapped_key))
        return self._ring.unwrap(wrapped, context=within.encode())

    def _decrypt(
        self,
        connection: Connection,
        within: CompartmentId,
        place: tuple[str, str, str],
        sealed: bytes,
    ) -> bytes:
        if sealed[:1] != _VERSION:
            raise IntegrityError("A sealed field has a form this version does not know.")
        nonce, body = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        key = self._key(connection, within)
        try:
            return AESGCM(key).decrypt(nonce, body, _binding(within, place))
        except (InvalidTag, ValueError) as error:  # ValueError: cut off within the nonce
            raise IntegrityError(
                "A sealed field does not open: it was changed or moved."
            ) from error


def _binding(within: CompartmentId, place: tuple[str, str, str]) -> bytes:
    # Lengths come first so that no two different places give the same bytes.
    return b"".join(
        len(part).to_bytes(4) + part for part in (text.encode() for text in (*place, within))
    )
