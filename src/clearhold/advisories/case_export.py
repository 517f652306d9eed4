"""Taking a case out of the hub: everything one coordinator may see of it, in one archive.

It takes two people. Every piece is read the way a request for it alone would be, so it holds
nothing its coordinator could not have read, and the ledger has a leaf for each.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from typing import Final

import msgspec
from sqlalchemy import and_

from clearhold.access.approvals import Act, consume
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.advisories.service import AdvisoryService
from clearhold.cases import history
from clearhold.cases.entry import coordinated
from clearhold.cases.readers import CaseReaders
from clearhold.cases.service import CaseService
from clearhold.findings.model import FindingView
from clearhold.findings.service import FindingService
from clearhold.kernel.errors import ConflictError, NotFoundError
from clearhold.kernel.ids import CaseId, CompartmentId
from clearhold.ledger import records as ledger
from clearhold.ledger.tables import ledger_leaf
from clearhold.patches.service import PatchService
from clearhold.store.unit_of_work import Sessions
from clearhold.validation.service import ValidationService

# An instant that a zip archive can hold; archives of equal content are to be equal files.
_MODIFIED: Final = (1980, 1, 1, 0, 0, 0)
_File = tuple[str, bytes]


class CaseExports:
    """Makes archives of cases."""

    def __init__(
        self,
        sessions: Sessions,
        *,
        cases: CaseService,
        readers: CaseReaders,
        findings: FindingService,
        validation: ValidationService,
        patches: PatchService,
        advisories: AdvisoryService,
    ) -> None:
        self._sessions = sessions
        self._cases = cases
        self._readers = readers
        self._findings = findings
        self._validation = validation
        self._patches = patches
        self._advisories = advisories

    def export(self, actor: Actor, case: CaseId, *, sealed_to: str | None = None) -> bytes:
        """The case as a zip archive, for a coordinator of it with a second person's approval.

        Who approves knows by `sealed_to` for which recipient the caller seals it, if for any.

        The approval is used up when the archive begins, whatever becomes of it. Raises
        `NotFoundError`, `ConflictError` for who is no coordinator of the case, and
        `ApprovalNeededError`.
        """
        actor.need(Permission.CASES_READ_IN)
        with self._sessions.transaction() as unit:
            held = coordinated(unit, actor, case)
            how = {} if sealed_to is None else {"sealed_to": sealed_to}
            used = consume(unit, actor, Act.EXPORT_CASE, case, how, within=held.compartment)
            unit.record(
                "cases:case:export",
                actor=actor.principal,
                subject=case,
                compartment=held.compartment,
                detail={"approval": used.id},
            )
        files = dict(self._files(actor, case))
        files["ledger.json"] = self._ledger(actor, held.compartment)
        return _archive(files)

    def _files(self, actor: Actor, case: CaseId) -> Iterator[_File]:
        shown = self._cases.get(actor, case)
        yield "case.json", _json(shown)
        yield "messages.json", _json(self._cases.messages(actor, case))
        yield "readers.json", _json(self._readers.list(actor, case))
        for finding in shown.findings:
            view = self._findings.get(actor, finding)
            yield from self._finding(actor, view, f"findings/{finding}")
        for patch in self._patches.list(actor, case):
            yield f"patches/{patch.id}/patch.json", _json(patch)
            yield f"patches/{patch.id}/patch.diff", self._patches.diff(actor, patch.id)
        for notice in self._advisories.list(actor):
            if notice.case == case:
                yield f"advisories/{notice.id}/advisory.json", _json(notice)
                draft = self._advisories.read(actor, notice.id)
                yield f"advisories/{notice.id}/draft.json", _json(draft)

    def _finding(self, actor: Actor, view: FindingView, place: str) -> Iterator[_File]:
        finding, submission = view.head.id, view.head.submission
        yield f"{place}/finding.json", _json(view)
        # What is not there, or more than the tier shows, is left out like anywhere else.
        parts: dict[str, Callable[[], bytes]] = {
            "validation.json": lambda: _json(self._validation.of_finding(actor, finding)),
            "evidence.dsse.json": lambda: self._validation.evidence(actor, finding),
            "logs.json": lambda: _json(self._validation.logs(actor, finding)),
            "proof": lambda: self._findings.proof(actor, finding),
            "submission": lambda: self._findings.raw(actor, submission),
        }
        for name, read in parts.items():
            try:
                content = read()
            except (NotFoundError, ConflictError):
                continue
            yield f"{place}/{name}", content

    def _ledger(self, actor: Actor, within: CompartmentId) -> bytes:
        with self._sessions.transaction() as unit:
            visible = and_(history.visible_to(actor, unit.now), ledger_leaf.c.compartment == within)
            return _json(list(ledger.leaves(unit.connection, visible=visible)))


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value, order="sorted")) + b"\n"


def _archive(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _MODIFIED)
            entry.create_system = 3  # Unix, so that the mode below is read
            entry.external_attr = 0o100600 << 16
            archive.writestr(entry, data)
    return content.getvalue()
