"""What is looked for when variants of a finding are: the functions it shows to be flawed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchSet

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.findings.model import State
from clearhold.findings.service import FindingService
from clearhold.kernel.errors import ConflictError, NotFoundError
from clearhold.kernel.ids import ArtifactId, FindingId, PartyId, PrincipalId
from clearhold.parties import records as parties
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.validation.crash import Frame
from clearhold.validation.service import ValidationService
from clearhold.vault.service import Vault

MOST_NAMES: Final = 5
"""The innermost functions of a trace that are looked at."""
MOST_PLACES: Final = 64
_LAST_NAME: Final = re.compile(r"([^\W\d]\w*)(?:\(.*\))?\s*$")


@dataclass(frozen=True, slots=True)
class FindingModel:
    """A confirmed finding as variants of it are looked for.

    `names` are functions of its trace, innermost first; `places` are the files and lines that its
    fix changes, as (path, first, last) before the fix.
    """

    finding: FindingId
    package: str
    names: tuple[str, ...]
    places: tuple[tuple[str, int, int], ...]


class FindingModels:
    """Makes them for those who may read the finding."""

    def __init__(
        self,
        sessions: Sessions,
        vault: Vault,
        findings: FindingService,
        validation: ValidationService,
    ) -> None:
        self._sessions = sessions
        self._vault = vault
        self._findings = findings
        self._validation = validation

    def of(self, actor: Actor, finding: FindingId) -> FindingModel:
        """The model of a finding the actor may read.

        Raises `NotFoundError` when it may not, `ConflictError` for a finding that the laboratory
        has not reproduced or that says neither by its trace nor by a fix where it lies.
        """
        actor.need(Permission.FINDINGS_READ)
        view = self._findings.get(actor, finding)
        body = view.body
        if view.head.state is not State.REPRODUCED or body is None:
            raise ConflictError(
                "Variants are looked for of a finding that the laboratory reproduced.",
                next_step="Wait for its verdict, or submit a proof.",
            )
        names = names_of((*self._observed(actor, finding), *body.signature))
        places: tuple[tuple[str, int, int], ...] = ()
        if body.patch:
            with self._sessions.transaction() as unit:
                diff = self._vault.fetch(unit, ArtifactId(body.patch), reader=actor.principal)
            places = places_of(diff)
        if not names and not places:
            raise ConflictError(
                "The finding does not say in which function the flaw is.",
                next_step="Submit it with a proof whose crash has a trace, or with a fix.",
            )
        return FindingModel(finding, body.package, names, places)

    def _observed(self, actor: Actor, finding: FindingId) -> tuple[str, ...]:
        """The functions of the trace that the laboratory saw; none when it kept none."""
        try:
            facts = self._validation.of_finding(actor, finding).summary or {}
        except NotFoundError:
            return ()
        told = facts.get("trace") or ()
        return tuple(each for each in told if isinstance(each, str))


def model_of(
    models: FindingModels | None, actor: Actor, options: Mapping[str, str]
) -> FindingModel | None:
    """The finding that variants are looked for of, if options name one and the actor may read it."""
    finding = options.get("finding")
    return None if finding is None or models is None else models.of(actor, FindingId(finding))


def acting_for(unit: UnitOfWork, party: PartyId, *, reader: str) -> Actor:
    """Who reads a finding for a campaign of a party: `reader`, with no more than the party may."""
    return Actor(
        PrincipalId(reader),
        party,
        parties.by_id(unit, party).kind,
        frozenset({Permission.FINDINGS_READ, Permission.VALIDATION_READ}),
    )


def names_of(frames: Iterable[str]) -> tuple[str, ...]:
    """Names of functions in frames, each once, without those of sanitizers and C libraries."""
    found: dict[str, None] = {}
    for frame in frames:
        match = _LAST_NAME.search(frame.strip())
        if match is not None and not Frame(frame.strip()).runtime:
            found[match[1]] = None
    return tuple(found)[:MOST_NAMES]


def places_of(diff: bytes) -> tuple[tuple[str, int, int], ...]:
    """The files and lines that a unified diff changes, before it does; none when it is no diff."""
    try:
        files = PatchSet.from_string(diff.decode("latin-1"))
    except (UnidiffParseError, ValueError, IndexError, KeyError):
        return ()
    found = []
    for file in files:
        path = str(file.source_file).partition("/")[2]
        for hunk in file:
            changed = [
                line.source_line_no
                for line in hunk
                if line.is_removed and line.source_line_no is not None
            ]
            middle = hunk.source_start + hunk.source_length // 2
            first, last = (min(changed), max(changed)) if changed else (middle, middle)
            found.append((path, int(first), int(last)))
    return tuple(found[:MOST_PLACES])
