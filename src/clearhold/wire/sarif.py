"""SARIF 2.1.0 (OASIS): what a scanner reports, read from what tools really write.

Unknown members are passed over, nulls are taken for absence, and results without a location are
kept. Limits are strict: results, locations, proofs and the bytes of the log are refused beyond
them, and messages are cut.

Proofs travel inside the log. A result with the property `clearhold/proof` (a number) points at
`run.artifacts[number]`, whose `contents.binary` holds the input that triggers the flaw in base64;
its property `clearhold/target` names the entry point of the recipe the input is meant for.

Results that the log itself marks as suppressed (section 3.27.23), gone (`baselineState` absent,
3.27.24) or no failure (`kind`, 3.27.9) are read and say so in `Result.unwanted`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import msgspec

from clearhold.kernel.errors import ClearholdError, InvalidError, TooLargeError
from clearhold.wire.json_bounds import Limits, decode, decode_checked
from clearhold.wire.sarif_fixes import Fix, unified_diff

MAX_RESULTS = 10_000
MAX_LOCATIONS = 64
MAX_FRAMES = 64
MAX_FLOW_STEPS = 64
MAX_ATTACHMENTS = 16
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
    """One finding of a scanner; `level` is none, note, warning or error.

    `frames` are the functions of its first stack, innermost first; `flow` the steps of its first
    code flow. `identity` is what the tool itself tells results apart by, "" when it does not.
    `patch` is a unified diff made of `fixes`, "" when they do not say what they replace; `fixes`
    are then what the log holds. `attachments` are names and contents, None when not in the log.
    `unwanted` says why the log itself does not count the result among its failures.
    """

    rule_id: str
    level: str
    message: str
    locations: tuple[Location, ...]
    fingerprints: Mapping[str, str]
    properties: Mapping[str, Any]
    proof: Proof | None
    frames: tuple[str, ...] = ()
    flow: tuple[Location, ...] = ()
    identity: str = ""
    patch: str = ""
    fixes: bytes = b""
    attachments: tuple[tuple[str, bytes | None], ...] = ()
    unwanted: str = ""


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


class _Frame(msgspec.Struct):
    location: _Location | None = None


class _Stack(msgspec.Struct):
    frames: list[_Frame] | None = None


class _FlowStep(msgspec.Struct):
    location: _Location | None = None


class _ThreadFlow(msgspec.Struct):
    locations: list[_FlowStep] | None = None


class _CodeFlow(msgspec.Struct):
    threads: list[_ThreadFlow] | None = msgspec.field(default=None, name="threadFlows")


class _Suppression(msgspec.Struct):
    kind: str | None = None
    status: str | None = None


class _Attachment(msgspec.Struct):
    location: _Artifact | None = msgspec.field(default=None, name="artifactLocation")


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
    identities: dict[str, str] | None = msgspec.field(default=None, name="fingerprints")
    properties: dict[str, Any] | None = None
    kind: str | None = None
    baseline: str | None = msgspec.field(default=None, name="baselineState")
    suppressions: list[_Suppression] | None = None
    stacks: list[_Stack] | None = None
    flows: list[_CodeFlow] | None = msgspec.field(default=None, name="codeFlows")
    fixes: list[Fix] | None = None
    attachments: list[_Attachment] | None = None


class _Content(msgspec.Struct):
    binary: str | None = None
    text: str | None = None


class _ArtifactEntry(msgspec.Struct):
    location: _Artifact | None = None
    contents: _Content | None = None


class _Run(msgspec.Struct):
    tool: _Tool
    results: list[msgspec.Raw] | None = None
    artifacts: list[_ArtifactEntry] | None = None


class _Log(msgspec.Struct):
    runs: list[_Run]
    version: str


def read(data: bytes) -> SarifLog:
    """The log in `data`.

    Raises `TooLargeError` beyond the limits, and `InvalidError` for what is not SARIF 2.1.0 or has
    a proof that is missing or not base64.
    """
    runs = []
    for run in _opened(data).runs:
        driver, found = run.tool.driver, []
        for place, result in _attempts(run):
            if isinstance(result, ClearholdError):
                raise result
            del place
            found.append(result)
        runs.append(Run(driver.name or "", _version(driver), tuple(found)))
    return SarifLog(tuple(runs))


def attempts(data: bytes) -> Iterator[tuple[str, str, Result | ClearholdError]]:
    """Each result of the log with its JSON pointer and its tool's name; or why it is refused.

    Raises as `read` does for the log as a whole.
    """
    for number, run in enumerate(_opened(data).runs):
        name = run.tool.driver.name or ""
        for place, result in _attempts(run):
            yield f"/runs/{number}/results/{place}", name, result


def _opened(data: bytes) -> _Log:
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
    return log


def _attempts(run: _Run) -> Iterator[tuple[int, Result | ClearholdError]]:
    context = _Context(run)
    for place, raw in enumerate(run.results or ()):
        try:
            given = decode_checked(bytes(raw), _Result, what=f"result {place} of the SARIF")
            yield place, _result(context, given, place)
        except ClearholdError as refused:
            yield place, refused


def _version(driver: _Component) -> str:
    return driver.semantic_version or driver.version or ""


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

    def path(self, uri: str | None, index: int | None) -> str:
        """The path of a file that a fix changes."""
        return self.uri(_Artifact(uri, index))

    def attached(self, attachment: _Attachment, place: int) -> tuple[str, bytes | None]:
        """The name of an attached file and what the log holds of it."""
        artifact = attachment.location or _Artifact()
        name, index = self.uri(artifact), artifact.index
        if index is None:
            known = (each.location.uri if each.location else None for each in self._artifacts)
            index = next((at for at, uri in enumerate(known) if uri and uri == name), None)
        if index is None or not 0 <= index < len(self._artifacts):
            return name, None
        contents = self._artifacts[index].contents
        if contents is None or (contents.binary is None and contents.text is None):
            return name, None
        if contents.text is not None:
            return name, contents.text.encode("utf-8", "replace")[:MAX_PROOF_BYTES]
        return name, _decoded(contents, place)

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
    if len(result.fixes or ()) > MAX_LOCATIONS or len(result.attachments or ()) > MAX_ATTACHMENTS:
        raise TooLargeError(
            f"Result {place} of the SARIF log has too many fixes or attachments.",
            next_step="Give the best fix and what is needed to understand the result.",
        )
    rule = context.rule(result)
    patch = unified_diff(result.fixes or [], context.path)
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
        frames=_frames(result),
        flow=tuple(_location(context, each) for each in _flow(result)),
        identity=_identity(result),
        patch=patch,
        fixes=msgspec.json.encode(result.fixes) if result.fixes else b"",
        attachments=tuple(context.attached(each, place) for each in result.attachments or ()),
        unwanted=_unwanted(result),
    )


def _unwanted(result: _Result) -> str:
    given = result.suppressions or []
    if given and not any(each.status in {"underReview", "rejected"} for each in given):
        return "the log suppresses it"
    if result.baseline == "absent":
        return "its baselineState says that it is no longer found"
    if result.kind not in {None, "fail", "open", "review"}:
        return "its kind says that it is no failure"
    return ""


def _identity(result: _Result) -> str:
    """What the tool tells results apart by: its fingerprints, or all partial ones together."""
    given = result.identities or result.fingerprints or {}
    return "\0".join(f"{name}={value}" for name, value in sorted(given.items()))[:4096]


def _frames(result: _Result) -> tuple[str, ...]:
    first = next((each.frames for each in result.stacks or () if each.frames), [])
    named = []
    for frame in first[:MAX_FRAMES]:
        logical = frame.location.logical if frame.location is not None else None
        if logical and (name := logical[0].full_name or logical[0].name):
            named.append(name)
    return tuple(named)


def _flow(result: _Result) -> list[_Location]:
    threads = next((each.threads for each in result.flows or () if each.threads), [])
    steps = next((each.locations for each in threads if each.locations), [])
    return [each.location for each in steps[:MAX_FLOW_STEPS] if each.location is not None]


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
