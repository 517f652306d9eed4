"""Bringing an accepted fix to a package's other supported versions, as a task that outlives a crash.

What became of each version is kept as soon as it is known, so a task that is cut off goes on with
the next one. Versions are named by who stands behind fixes in the case; else they are the newest
of each line of releases that the flaw may be in. All of it is sealed: a version that is affected
tells of the flaw.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from clearhold.cases import progress
from clearhold.cases.material import CaseMaterial
from clearhold.kernel.errors import ClearholdError, LimitError, UnavailableError, machine_error
from clearhold.kernel.ids import FindingId, PatchId
from clearhold.patches import records
from clearhold.patches.judging import Candidate, Judgement
from clearhold.patches.records import READER, PatchRecord, State, found
from clearhold.ports.engine import Task, attempt_of, next_try
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault

PORT: Final = "patches.backport"
MOST_NAMED: Final = 48
"""Versions that are named for one fix, all requests together: each is a trial of its own."""


class Ported(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of a fix on one version.

    `outcome` is fits, adapted, already_fixed, not_affected, does_not_fit, not_published or
    not_built; `diff` is what was judged there, empty when nothing was, and `judgement` its own
    verdict, by the proofs that work on that version without it. `asked_by` are the findings whose
    proofs were asked of.
    """

    version: str
    outcome: str
    words: str
    diff: bytes = b""
    judgement: Judgement | None = None
    asked_by: tuple[str, ...] = ()


class Book(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far a fix has been brought: versions `named` by a person, all that are `planned`, `done`.

    `planned` is None until it was found out which there are; `waiting` says in words why nothing
    goes on.
    """

    named: tuple[str, ...] = ()
    planned: tuple[str, ...] | None = None
    done: tuple[Ported, ...] = ()
    waiting: str = ""

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return msgspec.json.encode(self, order="sorted")

    @property
    def left(self) -> tuple[str, ...]:
        """The versions that are still to be asked."""
        known = {each.version for each in self.done}
        wanted = dict.fromkeys((*self.named, *(self.planned or ())))
        return tuple(each for each in wanted if each not in known)


class Porter(Protocol):
    """Whoever can lay a fix over another version and judge it there."""

    def versions(self, candidate: Candidate) -> tuple[str, ...]:
        """The versions that a fix should be brought to when nobody names any.

        Raises `ClearholdError` when the registry could not be asked, or its list not be read.
        """
        ...

    def port(self, candidate: Candidate, version: str) -> Ported:
        """Bring a fix to one version.

        Raises `UnavailableError` when this machine lacks what that needs; a release that does not
        build is an outcome.
        """
        ...


@dataclass(frozen=True, slots=True)
class Porting:
    """Runs the queued task `patches.backport`."""

    sessions: Sessions
    vault: Vault
    material: CaseMaterial
    porter: Porter

    def run(self, arguments: Mapping[str, str]) -> None:
        """Bring the accepted fix `arguments["patch"]` to every version that is left."""
        patch = PatchId(arguments["patch"])
        taken = self._take(patch)
        if taken is None:
            return
        candidate, book = taken
        missed: dict[str, str] = {}  # what cannot be asked now, and why; it holds up nothing else
        try:
            if arguments.get("lines") and book.planned is None:
                try:
                    book = self._keep(patch, planned=self.porter.versions(candidate))
                except ClearholdError as error:
                    missed[""] = _words(error)
            while left := [each for each in book.left if each not in missed]:
                try:
                    book = self._keep(patch, done=self._ported(candidate, left[0]))
                except UnavailableError as error:
                    missed[left[0]] = _words(error)
        except OSError as problem:
            self._wait(patch, arguments, machine_error(problem).message)
        else:
            if missed:
                self._wait(patch, arguments, next(iter(missed.values())))

    def _ported(self, candidate: Candidate, version: str) -> Ported:
        try:
            done = self.porter.port(candidate, version)
        except UnavailableError:
            raise
        except ClearholdError as error:
            done = Ported(version, "not_built", _words(error))
        by = tuple(sorted(str(each.finding) for each in candidate.proofs))
        return msgspec.structs.replace(done, asked_by=by)

    def _take(self, patch: PatchId) -> tuple[Candidate, Book] | None:
        with self.sessions.transaction() as unit:
            known = records.read(unit, patch)
            if known is None or known.state is not State.ACCEPTED:
                return None
            candidate = Candidate(
                diff=self.vault.fetch(unit, known.diff, reader=READER),
                proofs=self.material.proofs_of_case(unit, known.case, reader=READER),
                others=(),
            )
            return candidate, self._book(unit, known)

    def _book(self, unit: UnitOfWork, known: PatchRecord) -> Book:
        among = self.material.with_proof(unit, known.case)
        return read_book(unit, self.vault, known, reader=READER, among=among)

    def _keep(
        self, patch: PatchId, *, planned: tuple[str, ...] | None = None, done: Ported | None = None
    ) -> Book:
        """Add what was found out to what is kept by now, which somebody may have added to."""
        with self.sessions.transaction() as unit:
            known = locked(unit, patch)
            book = self._book(unit, known)
            book = msgspec.structs.replace(book, waiting="")
            if planned is not None:
                book = msgspec.structs.replace(book, planned=planned)
            if done is not None and all(each.version != done.version for each in book.done):
                book = msgspec.structs.replace(book, done=(*book.done, done))
                unit.record(
                    "patches:candidate:backport",
                    actor=READER,
                    subject=known.id,
                    compartment=known.compartment,
                    detail={"case": known.case, "outcome": done.outcome},
                )
            write_book(unit, self.vault, known, book)
            return book

    def _wait(self, patch: PatchId, arguments: Mapping[str, str], why: str) -> None:
        with self.sessions.transaction() as unit:
            known = locked(unit, patch)
            book = self._book(unit, known)
            write_book(unit, self.vault, known, msgspec.structs.replace(book, waiting=why))
            task = porting_task(
                patch,
                asked=arguments.get("asked", ""),
                lines=bool(arguments.get("lines")),
                attempt=attempt_of(arguments),
            )
            later = next_try(task)
            if later is not None:
                unit.enqueue(later[0], delay=later[1])


def _words(error: ClearholdError) -> str:
    return f"{error.message} {error.next_step}".strip()


def locked(unit: UnitOfWork, patch: PatchId) -> PatchRecord:
    """A candidate, its row locked until the transaction ends: for services."""
    # The case is locked first, as everywhere, so that no two who lock both wait for each other.
    known = found(records.read(unit, patch))
    progress.current(unit, known.case)
    return found(records.held(unit, patch))


def porting_task(patch: PatchId, *, lines: bool, asked: str = "", attempt: int = 0) -> Task:
    """The task that brings an accepted fix to other versions; nobody waits for it.

    With `lines`, the newest versions of lines of releases are found first. `asked` tells one wish
    of a person from another.
    """
    arguments = {"patch": patch, "asked": asked, "attempt": str(attempt)}
    key = f"{PORT}:{patch}:{asked}"
    return Task(PORT, key, arguments | ({"lines": "1"} if lines else {}), "patient")


def name_versions(
    unit: UnitOfWork,
    vault: Vault,
    known: PatchRecord,
    versions: Collection[str],
    *,
    among: Collection[FindingId],
) -> Book:
    """Add versions that a person named, or have the lines of releases looked up again without any.

    What was asked before and came to no verdict is asked again. Raises `LimitError` for more than one
    fix is brought to.
    """
    book = read_book(unit, vault, known, reader=READER, among=among)
    again = set(versions) or {each.version for each in book.done}
    named = tuple(dict.fromkeys((*book.named, *versions)))
    if len(named) > MOST_NAMED:
        raise LimitError(
            f"One fix is brought to at most {MOST_NAMED} named versions.",
            next_step="Submit it again with a new key for the others.",
        )
    book = msgspec.structs.replace(
        book,
        named=named,
        planned=book.planned if versions else None,
        done=tuple(
            each for each in book.done if each.judgement is not None or each.version not in again
        ),
        waiting="",
    )
    write_book(unit, vault, known, book)
    return book


def read_book(
    unit: UnitOfWork,
    vault: Vault,
    known: PatchRecord,
    *,
    reader: str,
    among: Collection[FindingId],
) -> Book:
    """What is kept of where a fix was brought, released to `reader`; an empty one at first.

    `among` are the findings of the case with a proof: what was found out before one of them joined
    counts no more, and its version is still to be asked.
    """
    if known.sealed_backports is None:
        return Book()
    content = vault.unseal(
        unit, known.compartment, place=_place(known), sealed=known.sealed_backports, reader=reader
    )
    book = msgspec.json.decode(content, type=Book)
    wanted = {str(each) for each in among}
    done = tuple(each for each in book.done if wanted <= set(each.asked_by))
    return msgspec.structs.replace(book, done=done)


def write_book(unit: UnitOfWork, vault: Vault, known: PatchRecord, book: Book) -> None:
    """Keep it, sealed."""
    sealed = vault.seal(unit, known.compartment, place=_place(known), content=book.to_bytes())
    records.change(unit, known.id, sealed_backports=sealed)


def _place(known: PatchRecord) -> tuple[str, str, str]:
    return ("patch", "sealed_backports", known.id)
