"""Keeping the keys: rotation, expunging, backups. Content is never encrypted anew.

A destroyed row alone would come back with an older copy of the database, so expunging also changes
the key-encryption key, wraps the keys of everything that stays under the new one, and destroys the
older ones in the ring and in each backup it knows of. Each change stands in the database until it
has ended. A process killed anywhere in it loses nothing, and `finish` takes it up again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clearhold.kernel.errors import ConflictError, UnavailableError
from clearhold.kernel.ids import CompartmentId, new_id
from clearhold.ports.blobs import BlobStore
from clearhold.ports.keys import BackupState, KeyRing
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault import records
from clearhold.vault.records import ChangeKind, KeyChange
from clearhold.vault.service import Vault

BATCH: Final = 200
RING: Final = "ring"
KEY_BACKUP: Final = "key-backup"
KEY_DESTRUCTION: Final = "key-destruction"
KEY_ROTATION: Final = "key-rotation"

Guard = Callable[[UnitOfWork, str, str], None]
"""Called with what is to be done and to what, in the transaction that begins it.

It uses up the approval of two people, or raises `DeniedError`.
"""


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """The ring's generations with what each wraps, its backups, and the change that has not ended."""

    current: str
    wrapped: Mapping[str, int]
    backups: Mapping[str, BackupState]
    running: ChangeKind | None


class KeyKeeping:
    """Changes the keys that wrap all others."""

    def __init__(
        self, sessions: Sessions, vault: Vault, *, ring: KeyRing, blobs: BlobStore
    ) -> None:
        self._sessions = sessions
        self._vault = vault
        self._ring = ring
        self._blobs = blobs

    def status(self) -> KeyStatus:
        """How the ring stands."""
        with self._sessions.snapshot() as connection:
            counts = records.wrapped_under(connection)
            change = records.running(connection)
        generations = self._ring.generations()
        return KeyStatus(
            current=generations[-1],
            wrapped={name: counts.get(name, 0) for name in generations},
            backups=self._ring.backups(),
            running=None if change is None else change.kind,
        )

    def rotate(self, guard: Guard, *, by: str) -> KeyStatus:
        """Make a new key-encryption key and wrap every compartment's key under it.

        The one before is retired: it opens what older copies of the database hold. A change that
        was cut off is finished first, and is enough when it was a rotation.
        """
        if self.finish() is not ChangeKind.ROTATE:
            with self._sessions.transaction() as unit:
                guard(unit, KEY_ROTATION, RING)
                self._begin(unit, ChangeKind.ROTATE, by=by)
            self.finish()
        return self.status()

    def destroy_retired(self, guard: Guard, *, by: str) -> KeyStatus:
        """Change the key-encryption key and destroy every older one, in each backup too.

        Sealed content of older database copies can then never be opened again.
        """
        self.ready()
        with self._sessions.transaction() as unit:
            guard(unit, KEY_DESTRUCTION, RING)
            self._begin(unit, ChangeKind.DESTROY, by=by)
        self.finish()
        return self.status()

    def ready(self) -> None:
        """Finish what was cut off. Raises `UnavailableError` when a backup is out of reach."""
        self.finish()
        lost = [
            place
            for place, state in self._ring.backups().items()
            if state is BackupState.OUT_OF_REACH
        ]
        if lost:
            raise UnavailableError(
                "A backup of the key ring is out of reach, so nothing was destroyed: "
                + ", ".join(lost),
                next_step="Bring it back and repeat the command; if it no longer exists anywhere, "
                "run `clearhold admin keys forget FILE`.",
            )

    def begin_expunging(
        self, unit: UnitOfWork, compartments: Iterable[CompartmentId], *, by: str
    ) -> None:
        """Destroy these compartments' keys; `finish`, after the commit, makes it final.

        Raises `ConflictError` while another change runs.
        """
        self._begin(unit, ChangeKind.EXPUNGE, by=by)
        for within in compartments:
            self._vault.destroy(unit, within, actor=by)

    def finish(self) -> ChangeKind | None:
        """Carry the change that has not ended to its end; its kind, None when there is none."""
        with self._sessions.snapshot() as connection:
            change = records.running(connection)
        if change is None:
            return None
        self._ring.rotate(change.kek)
        self._rewrap(change.kek)
        if change.kind is not ChangeKind.ROTATE:
            self._remove_artefacts()
            for name in self._ring.generations()[:-1]:
                self._ring.destroy(name)
        with self._sessions.transaction() as unit:
            if records.end(unit.connection, change, at=unit.now):
                unit.record(
                    "vault:keys:changed",
                    actor=change.begun_by,
                    subject=change.id,
                    detail={"kind": change.kind, "kek": change.kek},
                )
        return change.kind

    def back_up(self, to: Path, guard: Guard, *, by: str) -> KeyStatus:
        """Copy the ring to a new file, which later changes of it reach."""
        with self._sessions.transaction() as unit:
            guard(unit, KEY_BACKUP, str(to))
            unit.record("vault:keys:back-up", actor=by, subject=RING)
            self._ring.back_up(to)
        return self.status()

    def forget(self, backup: str, guard: Guard, *, by: str) -> KeyStatus:
        """Stop counting on a backup that no longer exists anywhere."""
        with self._sessions.transaction() as unit:
            guard(unit, KEY_BACKUP, f"forget:{backup}")
            unit.record("vault:keys:forget-backup", actor=by, subject=RING)
            self._ring.forget(backup)
        return self.status()

    def _begin(self, unit: UnitOfWork, kind: ChangeKind, *, by: str) -> None:
        identity = new_id(unit.now)
        new = KeyChange(identity, kind, f"kek-{identity}", by, unit.now)
        if not records.begin(unit.connection, new):
            raise ConflictError(
                "Another change of the keys has not ended.",
                next_step="Run `clearhold admin keys resume`, then this command again.",
            )
        unit.record("vault:keys:change", actor=by, subject=identity, detail={"kind": kind})

    def _rewrap(self, kek: str) -> None:
        """Wrap every key under `kek`, batch by batch, until nothing is left and nothing can come."""
        while True:
            after = ""
            while batch := self._rewrap_batch(kek, after=after):
                after = batch
            # Nothing else is done here: all who wrap keys wait for this transaction's lock.
            with self._sessions.transaction() as unit:
                if records.none_wrapped_otherwise(unit.connection, kek):
                    return

    def _rewrap_batch(self, kek: str, *, after: str) -> str:
        with self._sessions.transaction() as unit:
            found = records.wrapped_otherwise(unit.connection, kek, after=after, limit=BATCH)
            for within, before in found:
                context = within.encode()
                key = self._ring.unwrap(before, context=context)
                anew = self._ring.wrap(key, context=context)
                records.rewrap(unit.connection, within, before=before, after=anew)
        return found[-1][0] if found else ""

    def _remove_artefacts(self) -> None:
        """Take the sealed bytes of destroyed compartments out of the store as well."""
        while True:
            with self._sessions.transaction() as unit:
                doomed = records.doomed_artefacts(unit.connection, limit=BATCH)
                if not doomed:
                    return
                for _, digest in doomed:
                    self._blobs.remove(digest)
                records.note_removed(unit.connection, [name for name, _ in doomed], at=unit.now)
