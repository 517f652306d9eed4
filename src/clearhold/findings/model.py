"""Findings, what their finders are told, and which of them are one vulnerability.

A cluster is computed from assertions and never stored. `same` joins two findings; `different`
keeps them apart however many others would join them: joins are taken in a fixed order (a person's
before behaviour before signature before fingerprint, then by time) and one that would bring two
findings asserted different into one cluster is passed over, which marks the cluster contested.
So the outcome depends on the assertions in force alone, and withdrawing one leaves no trace of it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from clearhold.findings.danger import Danger
from clearhold.kernel.errors import ConflictError
from clearhold.kernel.ids import (
    ArtifactId,
    CaseId,
    CompartmentId,
    FindingId,
    PartyId,
    SubmissionId,
    VulnerabilityId,
)
from clearhold.kernel.purl import Purl

HIGHEST_LEVEL: Final = 4


class State(StrEnum):
    """Where a finding stands."""

    RECEIVED = "received"
    VALIDATING = "validating"
    REPRODUCED = "reproduced"
    REFUSED = "refused"
    NOT_VALIDATED = "not_validated"


_DECIDED: Final = frozenset({State.REPRODUCED, State.REFUSED, State.NOT_VALIDATED})
_NEXT: Final[Mapping[State, frozenset[State]]] = {
    State.RECEIVED: _DECIDED | {State.VALIDATING},
    State.VALIDATING: _DECIDED,
    State.REPRODUCED: frozenset({State.VALIDATING}),
    State.REFUSED: frozenset({State.VALIDATING}),
    State.NOT_VALIDATED: frozenset({State.VALIDATING}),
}


def check_step(now: State, then: State) -> None:
    """Raise `ConflictError` unless a finding may go from one state to the other, or stays."""
    if then is not now and then not in _NEXT[now]:
        raise ConflictError(
            f"A finding that is {now} cannot become {then}.",
            next_step="Start a new validation of it first.",
        )


def _packed(text: bytes) -> bytes:
    # Most of what a finding takes on disk is this, and half of it is names that repeat.
    return zlib.compress(text, level=6)


def _unpacked(content: bytes) -> bytes:
    """The JSON that was packed; what an earlier version wrote is not packed."""
    return content if content.startswith(b"{") else zlib.decompress(content)


class Match(StrEnum):
    """What is asserted of two findings."""

    SAME = "same"
    DIFFERENT = "different"
    RELATED = "related"


class Method(StrEnum):
    """How an assertion was come by, the most trusted first."""

    PERSON = "person"
    BEHAVIOUR = "behaviour"
    SIGNATURE = "signature"
    FINGERPRINT = "fingerprint"


_TRUST: Final = {method: rank for rank, method in enumerate(Method)}


@dataclass(frozen=True, slots=True)
class FindingHead:
    """What stands in plain columns: ids, states and times. `received_at` is the priority time.

    `level` is the level of evidence from 0 (text) to 4; `proof` the artefact of the proof.
    """

    id: FindingId
    submission: SubmissionId
    position: int
    party: PartyId
    compartment: CompartmentId
    received_at: datetime
    state: State
    verdict: str
    level: int
    proof: ArtifactId | None
    case: CaseId | None


class KeptFile(msgspec.Struct, frozen=True):
    """A file that came along with a finding: its name there, the artefact, and its size in bytes."""

    name: str
    artifact: str
    size: int


class FindingBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a finding, which is sealed; empty means not given.

    `package` is a package URL with its version; `claim` the kind of violation claimed and
    `signature` the frames claimed, innermost first, seen with the compiler `toolchain`; `proof`, `patch` and `tests` are artefact ids;
    `provenance` says of each field where it came from; `trace` is what a sanitizer or runtime
    printed; `attachments` are further files as they came.
    """

    package: str
    title: str
    description: str
    weakness: str
    target: str
    claim: str
    signature: tuple[str, ...]
    severity: str
    locations: tuple[str, ...]
    references: tuple[str, ...]
    proof: str
    patch: str
    tests: str
    provenance: dict[str, str]
    trace: str = ""
    attachments: tuple[KeptFile, ...] = ()
    toolchain: str = ""

    @property
    def purl(self) -> Purl:
        """The package with its version."""
        return Purl.parse(self.package)

    def to_bytes(self) -> bytes:
        """Canonical JSON, packed."""
        return _packed(msgspec.json.encode(self, order="sorted"))

    @classmethod
    def from_bytes(cls, content: bytes) -> FindingBody:
        """From what `to_bytes` wrote."""
        return msgspec.json.decode(_unpacked(content), type=cls)


class Part(msgspec.Struct, frozen=True):
    """One of the six parts maintainers ask for: whether it was given, and where it was read."""

    part: str
    given: bool
    where: str


class Skipped(msgspec.Struct, frozen=True):
    """Something in a submission that did not become a finding: where it stands, and why."""

    place: str
    reason: str


class RecordTaken(msgspec.Struct, frozen=True):
    """An interchange record of a submission: its kind, what it is about, and what it was taken as.

    None of them is a finding, and none of them binds anybody by itself.
    """

    place: str
    kind: str
    about: str
    taken_as: str
    next_step: str


class PublicFlawSeen(msgspec.Struct, frozen=True):
    """A public flaw that a report names, resembles, or that is exploited; all of it public.

    `signs` say what the report and the public text have in common; `exploited` is the day, as
    2026-08-07, on which it entered the catalogue of known exploited vulnerabilities, else empty.
    """

    id: str
    aliases: tuple[str, ...]
    summary: str
    signs: tuple[str, ...]
    exploited: str
    ransomware: bool


class FindingReceipt(msgspec.Struct, frozen=True):
    """What a finder is told at once of one finding.

    `missing` names the parts not given of the six maintainers ask for; `own_duplicates` are earlier
    findings of the same party with the same content; `public` are public vulnerabilities the report
    itself names and whose versions include the one reported, at most a hundred; `perhaps_public`
    are others that affect that version, at most twenty; in both the likeliest come first; `public_seen` says of those that
    the report names or resembles, or that are exploited, what is known. `parts` says of each of the six parts whether and where it was found, and
    `place` where in the submission the finding stood.
    """

    finding: str
    missing: tuple[str, ...]
    own_duplicates: tuple[str, ...]
    public: tuple[str, ...]
    perhaps_public: tuple[str, ...]
    parts: tuple[Part, ...] = ()
    place: str = ""
    public_seen: tuple[PublicFlawSeen, ...] = ()


class Receipt(msgspec.Struct, frozen=True):
    """What a finder is told at once of a submission; `received_at` is its priority time.

    `under_lease` says whether the lease named was held and covered every finding; None without one.
    `skipped` names what became no finding and why, `records` the interchange records in it.
    """

    submission: str
    received_at: datetime
    findings: tuple[FindingReceipt, ...]
    under_lease: bool | None
    skipped: tuple[Skipped, ...] = ()
    records: tuple[RecordTaken, ...] = ()

    def to_bytes(self) -> bytes:
        """Canonical JSON, packed."""
        return _packed(msgspec.json.encode(self, order="sorted"))

    @classmethod
    def from_bytes(cls, content: bytes) -> Receipt:
        """From what `to_bytes` wrote."""
        return msgspec.json.decode(_unpacked(content), type=cls)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a finder learns of the vulnerability once the own proof has reproduced.

    `vulnerability` is equal for the findings of one vulnerability and tells nothing else: its id
    among coordinators is that of its earliest finding, which holds the time that came.
    `independent_finders` counts the parties whose own proofs reproduced, this one included;
    `first` says whether this finding has priority.
    """

    vulnerability: str
    independent_finders: int
    first: bool


@dataclass(frozen=True, slots=True)
class FindingView:
    """A finding as someone who may see it sees it; lists leave out `body`.

    `standing` is None until its own proof has reproduced.
    """

    head: FindingHead
    body: FindingBody | None
    standing: Standing | None


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A vulnerability as the coordinator's queue shows it: no content, no names.

    `states` are the distinct states of its findings; `contested` says that assertions disagree.
    `collision` says how dangerous it is that several found it. Numbers, times and that are None for who may not read the findings of what has a case.
    """

    vulnerability: VulnerabilityId
    states: tuple[State, ...]
    case: CaseId | None
    findings: int | None = None
    independent_finders: int | None = None
    best_level: int | None = None
    first_received_at: datetime | None = None
    contested: bool | None = None
    collision: Danger | None = None


@dataclass(frozen=True, slots=True)
class Assertion:
    """What was asserted of two findings, how and when. `evidence` holds ids and digests alone."""

    id: str
    a: FindingId
    b: FindingId
    verdict: Match
    method: Method
    evidence: Mapping[str, str]
    asserted_by: str
    asserted_at: datetime

    @property
    def pair(self) -> tuple[FindingId, FindingId]:
        """The two findings in the order of their ids."""
        return (self.a, self.b) if self.a < self.b else (self.b, self.a)

    @property
    def _precedence(self) -> tuple[Any, ...]:
        return (_TRUST[self.method], self.asserted_at, self.pair, self.id)


@dataclass(frozen=True, slots=True)
class Cluster:
    """The findings of one vulnerability in the order of priority; the first gives it its id."""

    id: VulnerabilityId
    members: tuple[FindingId, ...]
    contested: bool


def clusters(
    received: Mapping[FindingId, datetime], assertions: Iterable[Assertion]
) -> tuple[Cluster, ...]:
    """Group findings, given with their priority times, by the assertions in force.

    Assertions on findings that are not in `received` say nothing. The outcome is independent of
    the order of either argument; clusters come in the order of priority.
    """
    parent = {finding: finding for finding in received}
    apart: dict[FindingId, set[FindingId]] = {finding: set() for finding in received}

    def root(finding: FindingId) -> FindingId:
        while parent[finding] != finding:
            parent[finding] = parent[parent[finding]]
            finding = parent[finding]
        return finding

    known = [each for each in assertions if each.a in received and each.b in received]
    for each in known:
        if each.verdict is Match.DIFFERENT:
            apart[each.a].add(each.b)
            apart[each.b].add(each.a)
    contested: set[FindingId] = set()
    joins = (each for each in known if each.verdict is Match.SAME)
    for each in sorted(joins, key=lambda join: join._precedence):  # noqa: SLF001  # own module
        left, right = root(each.a), root(each.b)
        if left == right:
            continue
        if any(root(other) == right for other in apart[left]):
            contested |= {each.a, each.b}
            continue
        parent[right] = left
        apart[left] |= apart[right]
    return _grouped(received, {finding: root(finding) for finding in received}, contested)


def _grouped(
    received: Mapping[FindingId, datetime],
    roots: Mapping[FindingId, FindingId],
    contested: set[FindingId],
) -> tuple[Cluster, ...]:
    groups: dict[FindingId, list[FindingId]] = {}
    for finding in sorted(received, key=lambda each: (received[each], each)):
        groups.setdefault(roots[finding], []).append(finding)
    return tuple(
        Cluster(VulnerabilityId(members[0]), tuple(members), not contested.isdisjoint(members))
        for members in groups.values()
    )
