"""Reading a submission: our own JSON, SARIF 2.1.0 or plain text, into findings of one form."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from clearhold.findings.model import FindingBody
from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.kernel.ids import ArtifactId
from clearhold.kernel.purl import Purl
from clearhold.wire import finding_json, sarif
from clearhold.wire.finding_json import MAX_TEXT, MAX_TITLE, Claim, FindingDocument

MOST_FINDINGS: Final = 200
_WEAKNESS: Final = re.compile(r"CWE-0*([1-9][0-9]{0,4})(?![0-9])", re.IGNORECASE)
_ALIAS: Final = re.compile(
    r"\b(?:CVE-[0-9]{4}-[0-9]{4,19}|GHSA(?:-[0-9a-z]{4}){3})\b", re.IGNORECASE
)


class Format(StrEnum):
    """What a submission is written in."""

    CLEARHOLD_JSON = "clearhold-json"
    SARIF = "sarif"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Report:
    """One finding of a submission, read and checked; `source` says where in it each field stood."""

    document: FindingDocument
    locations: tuple[str, ...]
    source: str

    @property
    def names(self) -> frozenset[str]:
        """The public identifiers (CVE, GHSA) the report itself mentions, in capitals."""
        document = self.document
        text = "\n".join((document.title, document.description, *document.references))
        return frozenset(name.upper() for name in _ALIAS.findall(text))

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """What exact copies share: the package with the proof, and with the words and places."""
        document = self.document
        package = str(document.package.package)
        words = " ".join(f"{document.title} {document.description}".casefold().split())
        places = "\n".join(self.locations)
        prints = [f"text\0{package}\0{document.weakness}\0{words}\0{places}"]
        if document.proof:
            prints.append(f"proof\0{package}\0{document.target}\0{document.proof.hex()}")
        return tuple(prints)

    def body(
        self, *, proof: ArtifactId | None, patch: ArtifactId | None, tests: ArtifactId | None
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
            "severity": document.severity,
            "locations": self.locations,
            "references": document.references,
            "proof": proof,
            "patch": patch,
            "tests": tests,
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
            provenance={name: self.source for name, value in fields.items() if value},
        )


def read(raw: bytes, form: Format, *, package: str = "") -> tuple[Report, ...]:
    """The findings in `raw`, at least one.

    `package`, a package URL with a version, is what SARIF and text are about; our own JSON states
    its own and takes none. Raises `TooLargeError` beyond a limit and `InvalidError` for the rest.
    """
    if form is Format.CLEARHOLD_JSON:
        if package:
            raise InvalidError(
                "A finding in clearhold-json names its own package.",
                next_step="Leave the package out of the request.",
            )
        return (Report(finding_json.read(raw), (), "submitter:clearhold-json"),)
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
    return _read_sarif(raw, purl) if form is Format.SARIF else (_read_text(raw, purl),)


def _read_sarif(raw: bytes, package: Purl) -> tuple[Report, ...]:
    log = sarif.read(raw)
    results = [(run, result) for run in log.runs for result in run.results]
    if not results:
        raise InvalidError(
            "The SARIF log has no results.", next_step="Submit a log once something was found."
        )
    if len(results) > MOST_FINDINGS:
        raise TooLargeError(
            f"The SARIF log has {len(results)} results; at most {MOST_FINDINGS} are taken at once.",
            next_step="Submit what you vouch for, in several logs when there is more.",
        )
    return tuple(
        _from_result(run, result, package, place) for place, (run, result) in enumerate(results)
    )


def _from_result(run: sarif.Run, result: sarif.Result, package: Purl, place: int) -> Report:
    where = f"result {place} of the SARIF log"
    message = checked_text(result.message, where)
    rule = _one_line(result.rule_id)
    title = _one_line(message) or rule or "Untitled result"
    tags = result.properties.get("tags")
    marks = [
        rule,
        *(tag for tag in (tags if isinstance(tags, list) else []) if isinstance(tag, str)),
    ]
    weakness = next((found for mark in marks if (found := _WEAKNESS.search(mark))), None)
    return Report(
        document=FindingDocument(
            package=package,
            title=title[:MAX_TITLE],
            description=message,
            weakness=f"CWE-{weakness[1]}" if weakness else "",
            target=_one_line(result.proof.target)[:64] if result.proof else "",
            claim=Claim("other"),
            severity=None,
            proof=result.proof.data if result.proof else b"",
            patch="",
            tests="",
            references=(),
        ),
        locations=tuple(_place(location, where) for location in result.locations),
        source=f"submitter:sarif:{_one_line(run.tool)[:60] or 'unnamed tool'}",
    )


def _place(location: sarif.Location, where: str) -> str:
    text = f"{location.uri}:{location.line}" if location.line else location.uri
    text = f"{text} {location.function}".strip()
    return _one_line(checked_text(text, where))[:1000]


def _read_text(raw: bytes, package: Purl) -> Report:
    try:
        text = raw.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise InvalidError(
            f"The text is not UTF-8 at byte {error.start}.",
            next_step="Save it as UTF-8 and send it again.",
        ) from error
    text = checked_text(text, "the text")
    if not text:
        raise InvalidError("The text is empty.", next_step="Describe what you found.")
    title, _, rest = text.partition("\n")
    return Report(
        document=FindingDocument(
            package=package,
            title=_one_line(title)[:MAX_TITLE] or "Untitled report",
            description=rest.strip() or title,
            weakness="",
            target="",
            claim=Claim("other"),
            severity=None,
            proof=b"",
            patch="",
            tests="",
            references=(),
        ),
        locations=(),
        source="submitter:text",
    )


def checked_text(text: str, where: str) -> str:
    """`text` when it is short enough and holds no control characters; `where` names it in errors.

    Terminal escapes are refused rather than stripped: a report that holds them was not written for
    people to read.
    """
    if len(text) > MAX_TEXT:
        raise TooLargeError(
            f"There are {len(text)} characters in {where}; at most {MAX_TEXT} are taken.",
            next_step="Shorten it and refer to the rest.",
        )
    for number, character in enumerate(text):
        if unicodedata.category(character) in {"Cc", "Cs"} and character not in "\n\r\t":
            raise InvalidError(
                f"There is a control character at place {number} in {where}.",
                next_step="Keep to printable text; put bytes into the proof.",
            )
    return text


def _one_line(text: str) -> str:
    line = text.strip().splitlines()[0] if text.strip() else ""
    return "".join(character for character in line if character.isprintable()).strip()
