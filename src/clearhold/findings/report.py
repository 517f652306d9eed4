"""One finding as it was read from a submission, whatever the submission was written in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from clearhold.findings.model import FindingBody, KeptFile, Part, RecordTaken, Skipped
from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.kernel.ids import ArtifactId
from clearhold.kernel.purl import Purl
from clearhold.wire.finding_json import MAX_TEXT, FindingDocument

_ALIAS: Final = re.compile(
    r"\b(?:CVE-[0-9]{4}-[0-9]{4,19}|GHSA(?:-[0-9a-z]{4}){3}"
    r"|(?:OSV|PYSEC|GO|RUSTSEC|MAL)-[0-9]{4}-[0-9]{1,9})\b",
    re.IGNORECASE,
)
_WEAKNESS: Final = re.compile(r"CWE[-: _]?0*([1-9][0-9]{0,4})(?![0-9])", re.IGNORECASE)
# Characters that turn the direction of what follows: what is shown is then not what is there.
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
MOST_ATTACHMENTS: Final = 64


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came along: its name, safe to show, and its bytes."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Report:
    """One finding of a submission, read and checked.

    `source` says what it was read from and `places` where in it each field stood, by JSON pointer
    (RFC 6901), line, or name of the file; `place` is where the finding as a whole did. `trace` is
    what a sanitizer or runtime printed. `given_prints` are the fingerprints the tool itself gave.
    """

    document: FindingDocument
    locations: tuple[str, ...]
    source: str
    place: str = ""
    places: Mapping[str, str] = field(default_factory=dict)
    trace: str = ""
    attachments: tuple[Attachment, ...] = ()
    aliases: tuple[str, ...] = ()
    given_prints: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """The public identifiers (CVE, GHSA, OSV) that the report itself mentions, in capitals."""
        document = self.document
        text = "\n".join((document.title, document.description, *document.references))
        return frozenset(name.upper() for name in (*_ALIAS.findall(text), *self.aliases))

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """What exact copies share: the proof, the words and places, or what the tool calls it."""
        document = self.document
        package = str(document.package.package)
        words = " ".join(f"{document.title} {document.description}".casefold().split())
        places = "\n".join(self.locations)
        prints = [f"text\0{package}\0{document.weakness}\0{words}\0{places}"]
        if document.proof:
            prints.append(f"proof\0{package}\0{document.target}\0{document.proof.hex()}")
        if self.trace:
            prints.append(f"trace\0{package}\0{self.trace}")
        prints += [f"given\0{package}\0{each}" for each in self.given_prints]
        return tuple(prints)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Of each of the six parts whether it is there, and where it was read."""
        missing = frozenset(self.document.completeness.missing)
        of = {"trigger": "target"}
        return tuple(
            Part(
                part,
                part not in missing,
                self._where(of.get(part, part), given=part not in missing),
            )
            for part in ("description", "trigger", "severity", "proof", "patch", "tests")
        )

    def _where(self, name: str, *, given: bool) -> str:
        if not given:
            return ""
        place = self.places.get(name, self.place)
        return f"{self.source}{'#' if place else ''}{place}"

    @property
    def copied(self) -> str:
        """What only a copy of the whole claim shares: version, target, claim and the proof itself."""
        document = self.document
        if not document.proof:
            return ""
        told = (str(document.package), document.target, document.claim.kind, document.weakness)
        return "\0".join((*told, *document.claim.signature, document.proof.hex()))

    def body(
        self,
        *,
        proof: ArtifactId | None,
        patch: ArtifactId | None,
        tests: ArtifactId | None,
        attachments: tuple[KeptFile, ...] = (),
    ) -> FindingBody:
        """What is sealed, with the artefacts its large parts were stored as."""
        document = self.document
        fields: dict[str, object] = {
            "package": document.package,
            "title": document.title,
            "description": document.description,
            "weakness": document.weakness,
            "target": document.target,
            "claim": document.claim.kind,
            "signature": document.claim.signature,
            "toolchain": document.claim.toolchain,
            "severity": document.severity,
            "locations": self.locations,
            "references": document.references,
            "proof": proof,
            "patch": patch,
            "tests": tests,
            "trace": self.trace,
            "attachments": attachments,
        }
        return FindingBody(
            package=str(document.package),
            title=document.title,
            description=document.description,
            weakness=document.weakness,
            target=document.target,
            claim=document.claim.kind,
            signature=document.claim.signature,
            severity=document.severity.vector if document.severity else "",
            locations=self.locations,
            references=document.references,
            proof=proof or "",
            patch=patch or "",
            tests=tests or "",
            provenance={
                name: self._where(name, given=True) for name, value in fields.items() if value
            },
            trace=self.trace,
            toolchain=document.claim.toolchain,
            attachments=attachments,
        )


@dataclass(frozen=True, slots=True)
class Taken:
    """What was read in a submission: findings, interchange records, and what became neither."""

    reports: tuple[Report, ...]
    skipped: tuple[Skipped, ...] = ()
    records: tuple[RecordTaken, ...] = ()


def versioned(package: str, form: str) -> Purl:
    """The package a submission is said to be about; raises `InvalidError` without a version."""
    if not package:
        raise InvalidError(
            f"A submission in {form} does not say which package it is about.",
            next_step="Give the package with its version, for example pkg:pypi/ujson@5.1.0.",
        )
    purl = Purl.parse(package)
    if purl.version is None:
        raise InvalidError(
            "The package names no version.", next_step="Add it, as in pkg:pypi/ujson@5.1.0."
        )
    return purl


def decoded(raw: bytes, where: str) -> str:
    """Text of `raw`, with line ends of one kind; raises `InvalidError` when it is not UTF-8."""
    try:
        text = raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InvalidError(
            f"There is no UTF-8 at byte {error.start}, line {line}, of {where}.",
            next_step="Save it as UTF-8 and send it again.",
        ) from error
    return text.replace("\r\n", "\n")


def checked_text(text: str, where: str) -> str:
    """`text` when it is short enough and holds nothing that could forge what is shown.

    Terminal escapes and characters that turn the direction of text are refused rather than
    stripped: a report that holds them was not written for people to read. `where` names it.
    """
    if len(text) > MAX_TEXT:
        raise TooLargeError(
            f"There are {len(text)} characters in {where}; at most {MAX_TEXT} are taken.",
            next_step="Shorten it and refer to the rest.",
        )
    if text.isascii() and text.isprintable():
        return text
    for number, character in enumerate(text):
        control = unicodedata.category(character) in {"Cc", "Cs"} and character not in "\n\r\t"
        if control or character in _TURNING:
            line = text.count("\n", 0, number) + 1
            what = "a control character" if control else "a character that turns the text"
            raise InvalidError(
                f"There is {what} at place {number}, line {line}, of {where}.",
                next_step="Keep to printable text; put bytes into the proof.",
            )
    return text


def cleaned_log(text: str) -> str:
    """A tool's output without escapes and other control characters, cut to what is kept.

    Tools colour their output, so that here they are taken out and not refused; the raw submission
    keeps them.
    """
    plain = re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]", "", text)
    kept = "".join(
        each
        for each in plain
        if each in "\n\t" or not (unicodedata.category(each) in {"Cc", "Cs"} or each in _TURNING)
    )
    return kept[:MAX_TEXT]


def one_line(text: str) -> str:
    """The first line of `text` with printable characters alone."""
    line = text.strip().splitlines()[0] if text.strip() else ""
    return "".join(character for character in line if character.isprintable()).strip()


def weakness_in(*texts: str) -> str:
    """The first CWE number in `texts`, as CWE-121; "" without one."""
    found = next((each for text in texts if (each := _WEAKNESS.search(text))), None)
    return f"CWE-{found[1]}" if found else ""


def references_of(urls: object) -> tuple[str, ...]:
    """Those of `urls` that are web addresses, at most sixty-four."""
    if not isinstance(urls, list | tuple):
        return ()
    kept = (
        url
        for url in urls
        if isinstance(url, str)
        and re.fullmatch(r"https?://[!-~]{1,2000}", url)
        and re.match(r"https?://[A-Za-z0-9\[]", url)
    )
    return tuple(dict.fromkeys(kept))[:64]
