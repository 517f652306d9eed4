"""A finding as its finder submits it: this project's own JSON, `clearhold-finding/1`.

    {"schema": "clearhold-finding/1",
     "package": "pkg:pypi/ujson@5.1.0",
     "title": "…", "description": "…",
     "weakness": "CWE-121",
     "target": "dumps",                            name of the recipe target the proof is for
     "claim": {"kind": "crash", "signature": ["frame", …],
               "toolchain": "clang"},              gcc or clang, optional
     "severity": "CVSS:3.1/…",                     optional
     "proof": "…",                                 base64, optional
     "patch": "--- a/…", "tests": "…",             unified diffs, optional
     "references": ["https://…"],                  optional
     "trace": "==1==ERROR: …",                     what the sanitizer printed, optional
     "attachments": [{"name": "build.txt",         further files, optional
                      "content": "…"}]}            base64

Members beyond these are refused, so that a misspelt one is never silently lost.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.kernel.purl import Purl
from clearhold.wire.json_bounds import Limits, decode
from clearhold.wire.severity_vector import CvssScore, score

SCHEMA = "clearhold-finding/1"
MAX_PROOF_BYTES = 4 * 1024 * 1024
MAX_TITLE = 300
MAX_TEXT = 256 * 1024
MAX_REFERENCES = 64
MAX_FRAMES = 64
MAX_ATTACHMENTS = 64

ClaimKind = Literal[
    "crash", "hang", "out-of-memory", "wrong-result", "leak", "privilege", "logic", "other"
]

Toolchain = Literal["", "gcc", "clang"]

_LIMITS = Limits(size=8 * 1024 * 1024, depth=8)
_WEAKNESS = re.compile(r"CWE-[1-9][0-9]{0,4}")
_TARGET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Claim:
    """What the finder says happens: its kind, and the frames of the stack, innermost first.

    `toolchain` is the compiler it was seen with; empty when the finder does not say.
    """

    kind: ClaimKind
    signature: tuple[str, ...] = ()
    toolchain: Toolchain = ""


@dataclass(frozen=True, slots=True)
class Completeness:
    """Which of the six parts of a finding are there."""

    description: bool
    trigger: bool
    severity: bool
    proof: bool
    patch: bool
    tests: bool

    @property
    def missing(self) -> tuple[str, ...]:
        """The parts that are not there, in the order above."""
        parts = ("description", "trigger", "severity", "proof", "patch", "tests")
        return tuple(part for part in parts if not getattr(self, part))

    @property
    def count(self) -> int:
        """How many of the six parts are there."""
        return 6 - len(self.missing)


@dataclass(frozen=True, slots=True)
class FindingDocument:
    """A finding as submitted, checked and decoded; empty means not given."""

    package: Purl
    title: str
    description: str
    weakness: str
    target: str
    claim: Claim
    severity: CvssScore | None
    proof: bytes
    patch: str
    tests: str
    references: tuple[str, ...]

    @property
    def completeness(self) -> Completeness:
        """Which of the six parts are there; a trigger is a claim together with its target."""
        return Completeness(
            description=bool(self.description.strip()),
            trigger=bool(self.target),
            severity=self.severity is not None,
            proof=bool(self.proof),
            patch=bool(self.patch.strip()),
            tests=bool(self.tests.strip()),
        )


@dataclass(frozen=True, slots=True)
class Whole:
    """A finding with what came beside it: a tool's output, and the names and bytes of files."""

    document: FindingDocument
    trace: str
    attachments: tuple[tuple[str, bytes], ...]


class _Attachment(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    content: str


class _Claim(msgspec.Struct, forbid_unknown_fields=True):
    kind: ClaimKind
    signature: list[str] = []
    toolchain: Toolchain = ""


class _Finding(msgspec.Struct, forbid_unknown_fields=True):
    schema: str
    package: str
    title: str
    description: str
    claim: _Claim
    weakness: str = ""
    target: str = ""
    severity: str | None = None
    proof: str = ""
    patch: str = ""
    tests: str = ""
    references: list[str] = []
    trace: str = ""
    attachments: list[_Attachment] = []


def read(data: bytes) -> FindingDocument:
    """The finding in `data` without trace and attachments; raises as `read_whole`."""
    return read_whole(data).document


def read_whole(data: bytes) -> Whole:
    """The finding in `data`.

    Raises `TooLargeError` beyond a limit and `InvalidError`, naming the member, for the rest.
    """
    given = decode(data, _Finding, limits=_LIMITS, what="finding")
    if given.schema != SCHEMA:
        raise _refused("schema", f"is {given.schema[:40]!a}", f'Write "{SCHEMA}".')
    package = Purl.parse(given.package)
    if package.version is None:
        raise _refused("package", "names no version", "Add it: pkg:pypi/ujson@5.1.0.")
    title = given.title.strip()
    if not title or len(title) > MAX_TITLE or not title.isprintable():
        advice = f"Write one line of at most {MAX_TITLE} characters."
        raise _refused("title", "is empty, too long or not one line", advice)
    for name in ("description", "patch", "tests"):
        _check_text(name, getattr(given, name))
    if given.weakness and not _WEAKNESS.fullmatch(given.weakness):
        raise _refused("weakness", "is no CWE number", "Write it as CWE-121.")
    if given.target and not _TARGET.fullmatch(given.target):
        raise _refused("target", "is no target name", "Use the name the recipe gives it.")
    document = FindingDocument(
        package=package,
        title=title,
        description=given.description,
        weakness=given.weakness,
        target=given.target,
        claim=Claim(given.claim.kind, _frames(given.claim.signature), given.claim.toolchain),
        severity=None if given.severity is None else score(given.severity),
        proof=_proof(given.proof),
        patch=given.patch,
        tests=given.tests,
        references=_references(given.references),
    )
    if len(given.trace) > MAX_TEXT:
        raise TooLargeError(
            f"The member trace of the finding has {len(given.trace)} characters; "
            f"at most {MAX_TEXT} are taken.",
            next_step="Cut it to the failure and what led to it.",
        )
    return Whole(document, given.trace, _attachments(given.attachments))


def _attachments(given: list[_Attachment]) -> tuple[tuple[str, bytes], ...]:
    if len(given) > MAX_ATTACHMENTS:
        raise _refused("attachments", "has too many entries", f"Give at most {MAX_ATTACHMENTS}.")
    files: dict[str, bytes] = {}
    for each in given:
        plain = each.name.isprintable() and 0 < len(each.name) <= 200
        if not plain or {"/", "\\"} & set(each.name) or each.name.lower() in files:
            raise _refused(
                "attachments", "has a name that is no file's name or is there twice", "Rename it."
            )
        try:
            files[each.name.lower()] = base64.b64decode(each.content, validate=True)
        except (binascii.Error, ValueError) as problem:
            advice = "Encode the file's bytes in base64."
            raise _refused("attachments", "has content that is not base64", advice) from problem
    return tuple(zip((each.name for each in given), files.values(), strict=True))


def _check_text(name: str, text: str) -> None:
    if len(text) > MAX_TEXT:
        raise TooLargeError(
            f"The member {name} of the finding has {len(text)} characters; "
            f"at most {MAX_TEXT} are taken.",
            next_step="Shorten it and refer to the rest.",
        )
    if _CONTROL.search(text):
        raise _refused(
            name, "holds control or direction-turning characters", "Keep to printable text."
        )


def _frames(frames: list[str]) -> tuple[str, ...]:
    if len(frames) > MAX_FRAMES or any(len(f) > 512 or not f.isprintable() for f in frames):
        advice = f"Give at most {MAX_FRAMES} frames of one short line each."
        raise _refused("claim.signature", "has too many or unreadable frames", advice)
    return tuple(frames)


def _proof(text: str) -> bytes:
    if len(text) > MAX_PROOF_BYTES * 4 // 3 + 4:
        raise TooLargeError(
            f"The proof is larger than {MAX_PROOF_BYTES} bytes.",
            next_step="Reduce the input to what is needed to trigger the flaw.",
        )
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as problem:
        raise _refused("proof", "is not base64", "Encode the input's bytes in base64.") from problem


def _references(references: list[str]) -> tuple[str, ...]:
    if len(references) > MAX_REFERENCES:
        advice = f"Give at most {MAX_REFERENCES}."
        raise _refused("references", "has too many entries", advice)
    for url in references:
        try:
            parts = urlsplit(url)
        except ValueError:
            parts = urlsplit("")
        web = parts.scheme in {"http", "https"} and bool(parts.netloc)
        if not web or len(url) > 2048 or not url.isascii() or not url.isprintable() or " " in url:
            raise _refused("references", "has an entry that is no web address", "Use https://….")
    return tuple(references)


def _refused(member: str, what: str, advice: str) -> InvalidError:
    return InvalidError(f"The member {member} of the finding {what}.", next_step=advice)
