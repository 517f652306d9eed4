"""SARIF 2.1.0 (OASIS): what a scanner reports, read from what tools really write.

Unknown members are passed over, nulls are taken for absence, and results without a location are
kept. Limits are strict: results, locations, proofs and the bytes of the log are refused beyond
them, and messages are cut.

Proofs travel inside the log. A result with the property `clearhold/proof` (a number) points at
`run.artifacts[number]`, whose `contents.binary` holds the input that triggers the flaw in base64;
its property `clearhold/target` names the entry point of the recipe the input is meant for.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import msgspec

from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.wire.json_bounds import Limits, decode

MAX_RESULTS = 10_000
MAX_LOCATIONS = 64
MAX_MESSAGE = 16_384
MAX_ARGUMENT = 1000
MAX_TARGET = 64
MAX_PROOF_BYTES = 4 * 1024 * 1024
PROOF = "clearhold/proof"
TARGET = "clearhold/target"

_LIMITS = Limits(size=64 * 1024 * 1024, depth=64)
_PLACEHOLDER = re.compile(r"\{([0-9]{1,2})\}")
_LEVELS = {"none", "note", "warning", "error"}


@dataclass(frozen=True, slots=True)
class Location:
    """A place in the scanned code; `line` counts from 1, and 0 means that none is stated."""

    uri: str
    line: int
    function: str


@dataclass(frozen=True, slots=True)
class Proof:
    """An input that triggers the flaw, and the recipe target it is for ("" when not stated)."""

    data: bytes
    target: str


@dataclass(frozen=True, slots=True)
class Result:
    """One finding of a scanner; `level` is none, note, warning or error."""

    rule_id: str
    level: str
    message: str
    locations: tuple[Location, ...]
    fingerprints: Mapping[str, str]
    properties: Mapping[str, Any]
    proof: Proof | None


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of one tool reported."""

    tool: str
    tool_version: str
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class SarifLog:
    """A whole log, run by run."""

    runs: tuple[Run, ...]


class _Text(msgspec.Struct):
    text: str | None = None
    markdown: str | None = None
    id: str | None = None
    arguments: list[str] | None = None


class _Configuration(msgspec.Struct):
    level: str | None = None


class _Rule(msgspec.Struct):
    id: str | None = None
    message_strings: dict[str, _Text] | None = msgspec.field(default=None, name="messageStrings")
    short_description: _Text | None = msgspec.field(default=None, name="shortDescription")
    configuration: _Configuration | None = msgspec.field(default=None, name="defaultConfiguration")


class _Component(msgspec.Struct):
    name: str | None = None
    version: str | None = None
    semantic_version: str | None = msgspec.field(default=None, name="semanticVersion")
    rules: list[_Rule] | None = None


class _Tool(msgspec.Struct):
    driver: _Component


class _Artifact(msgspec.Struct):
    uri: str | None = None
    index: int | None = None


class _Region(msgspec.Struct):
    start_line: int | None = msgspec.field(default=None, name="startLine")


class _Physical(msgspec.Struct):
    artifact: _Artifact | None = msgspec.field(default=None, name="artifactLocation")
    region: _Region | None = None


class _Logical(msgspec.Struct):
    name: str | None = None
    full_name: str | None = msgspec.field(default=None, name="fullyQualifiedName")


class _Location(msgspec.Struct):
    physical: _Physical | None = msgspec.field(default=None, name="physicalLocation")
    logical: list[_Logical] | None = msgspec.field(default=None, name="logicalLocations")


class _RuleReference(msgspec.Struct):
    id: str | None = None
    index: int | None = None


class _Result(msgspec.Struct):
    message: _Text | None = None
    rule_id: str | None = msgspec.field(default=None, name="ruleId")
    rule_index: int | None = msgspec.field(default=None, name="ruleIndex")
    rule: _RuleReference | None = None
    level: str | None = None
    locations: list[_Location] | None = None
    fingerprints: dict[str, str] | None = msgspec.field(default=None, name="partialFingerprints")
    properties: dict[str, Any] | None = None


class _Content(msgspec.Struct):
    binary: str | None = None


class _ArtifactEntry(msgspec.Struct):
    location: _Artifact | None = None
    contents: _Content | None = None


class _Run(msgspec.Struct):
    tool: _Tool
    results: list[_Result] | None = None
    artifacts: list[_ArtifactEntry] | None = None


class _Log(msgspec.Struct):
    runs: list[_Run]
    version: str


def read(data: bytes) -> SarifLog:
    """The log in `data`.

    Raises `TooLargeError` beyond the limits, and `InvalidError` for what is not SARIF 2.1.0 or has
    a proof that is missing or not base64.
    """
    log = decode(data, _Log, limits=_LIMITS, what="SARIF")
    if log.version != "2.1.0":
        raise InvalidError(
            f"The log says it is SARIF {log.version[:20]!a}; 2.1.0 is taken.",
            next_step="Have the tool write SARIF 2.1.0.",
        )
    count = sum(len(run.results or ()) for run in log.runs)
    if count > MAX_RESULTS:
        raise TooLargeError(
            f"The SARIF log has {count} results; at most {MAX_RESULTS} are taken.",
            next_step="Split the log, or leave out what nobody needs to see.",
        )
    return SarifLog(tuple(_run(run) for run in log.runs))


def _run(run: _Run) -> Run:
    driver, context = run.tool.driver, _Context(run)
    return Run(
        tool=driver.name or "",
        tool_version=driver.semantic_version or driver.version or "",
        results=tuple(
            _result(context, result, place) for place, result in enumerate(run.results or ())
        ),
    )


class _Context:
    """What results of one run refer to; each rule is indexed and each proof decoded once."""

    def __init__(self, run: _Run) -> None:
        self._rules = run.tool.driver.rules or []
        self._by_id = {rule.id: rule for rule in reversed(self._rules) if rule.id}
        self._artifacts = run.artifacts or []
        self._proofs: dict[int, bytes] = {}

    def rule(self, result: _Result) -> _Rule | None:
        index = result.rule_index
        if index is None and result.rule is not None:
            index = result.rule.index
        if index is not None and 0 <= index < len(self._rules):
            return self._rules[index]
        return self._by_id.get(result.rule_id) if result.rule_id else None

    def uri(self, artifact: _Artifact) -> str:
        index = artifact.index
        if artifact.uri is None and index is not None and 0 <= index < len(self._artifacts):
            place = self._artifacts[index].location
            return place.uri or "" if place is not None else ""
        return artifact.uri or ""

    def proof(self, properties: Mapping[str, Any], place: int) -> Proof | None:
        index, target = properties.get(PROOF), properties.get(TARGET, "")
        if index is None:
            return None
        if type(index) is not int or not 0 <= index < len(self._artifacts):
            raise _bad_proof(place, "points at no artifact of its run")
        if not isinstance(target, str) or len(target) > MAX_TARGET or not target.isprintable():
            raise _bad_proof(place, "is for a target that is no name")
        if index not in self._proofs:
            self._proofs[index] = _decoded(self._artifacts[index].contents, place)
        return Proof(self._proofs[index], target)


def _result(context: _Context, result: _Result, place: int) -> Result:
    locations = result.locations or []
    if len(locations) > MAX_LOCATIONS:
        raise TooLargeError(
            f"Result {place} of the SARIF log has {len(locations)} locations; "
            f"at most {MAX_LOCATIONS} are taken.",
            next_step="Report each place as a result of its own.",
        )
    rule = context.rule(result)
    level = result.level or (rule.configuration.level if rule and rule.configuration else None)
    reference = result.rule.id if result.rule is not None else None
    return Result(
        rule_id=result.rule_id or reference or (rule.id if rule else None) or "",
        level=level if level in _LEVELS else "warning",
        message=_message(result, rule),
        locations=tuple(_location(context, location) for location in locations),
        fingerprints=MappingProxyType(result.fingerprints or {}),
        properties=MappingProxyType(result.properties or {}),
        proof=context.proof(result.properties or {}, place),
    )


def _message(result: _Result, rule: _Rule | None) -> str:
    """The message's text; a message given by id is looked up in the rule and filled in."""
    given = result.message or _Text()
    text = given.text or given.markdown
    if text is None and rule is not None:
        named = (rule.message_strings or {}).get(given.id or "default")
        text = (named.text if named else None) or (
            rule.short_description.text if rule.short_description else None
        )
    arguments = given.arguments or []

    def argument(placeholder: re.Match[str]) -> str:
        number = int(placeholder[1])
        return arguments[number][:MAX_ARGUMENT] if number < len(arguments) else placeholder[0]

    return _PLACEHOLDER.sub(argument, (text or "")[:MAX_MESSAGE])[:MAX_MESSAGE]


def _location(context: _Context, location: _Location) -> Location:
    uri, line = "", 0
    if location.physical is not None:
        region, artifact = location.physical.region, location.physical.artifact
        line = region.start_line or 0 if region is not None else 0
        uri = context.uri(artifact) if artifact is not None else ""
    logical = location.logical[0] if location.logical else _Logical()
    return Location(uri, max(line, 0), logical.full_name or logical.name or "")


def _decoded(contents: _Content | None, place: int) -> bytes:
    if contents is None or contents.binary is None:
        raise _bad_proof(place, "points at an artifact without binary contents")
    if len(contents.binary) > MAX_PROOF_BYTES * 4 // 3 + 4:
        raise TooLargeError(
            f"The proof of result {place} is larger than {MAX_PROOF_BYTES} bytes.",
            next_step="Reduce the input to what is needed to trigger the flaw.",
        )
    try:
        return base64.b64decode(contents.binary, validate=True)
    except (binascii.Error, ValueError) as problem:
        raise _bad_proof(place, "points at contents that are not base64") from problem


def _bad_proof(place: int, what: str) -> InvalidError:
    return InvalidError(
        f"The proof of result {place} of the SARIF log {what}.",
        next_step=f"Set {PROOF} to the number of an artifact whose contents.binary is base64.",
    )
