"""Reading a submission: every format it may be written in, into findings of one form.

Which reader takes what: `intake_sarif` scanners' logs, `intake_advisory` OSV, CSAF and CVE records,
`intake_files` bundles, logs and messages, `intake_records` what comes from scrutineer; our own JSON
and plain text stand here. docs/submitting.md describes them all.
"""

from __future__ import annotations

import io
import re
from enum import StrEnum
from typing import BinaryIO, Final

from clearhold.findings.intake_advisory import take_advisories
from clearhold.findings.intake_files import take_bundle, take_log, take_mail
from clearhold.findings.intake_records import take_export, take_records
from clearhold.findings.intake_sarif import take_sarif
from clearhold.findings.model import Skipped
from clearhold.findings.report import (
    Attachment,
    Report,
    Taken,
    checked_text,
    cleaned_log,
    decoded,
    one_line,
    versioned,
)
from clearhold.kernel.errors import ClearholdError, InvalidError, TooLargeError
from clearhold.kernel.purl import Purl
from clearhold.wire import archive, csaf_report, cve_report, finding_json, osv_report
from clearhold.wire.advisory_report import AdvisoryReport
from clearhold.wire.finding_json import MAX_TITLE, Claim, FindingDocument
from clearhold.wire.json_stream import member_names

__all__ = [
    "MOST_FINDINGS",
    "NAMES_ITS_OWN",
    "Format",
    "Report",
    "Taken",
    "detect",
    "detect_in",
    "read",
    "take",
]

MOST_FINDINGS: Final = 1000
"""In one submission. More go through `findings.bulk`, which makes several of them."""
MOST_HELD: Final = 16 * 1024 * 1024
"""Characters that the findings of one submission hold together.

Each holds its own words, sealed alone, and a record of many packages says them once for all.
"""


class Format(StrEnum):
    """What a submission is written in."""

    CLEARHOLD_JSON = "clearhold-json"
    JSON_LINES = "clearhold-jsonl"
    SARIF = "sarif"
    OSV = "osv"
    CSAF = "csaf"
    CVE = "cve"
    CRASH_BUNDLE = "crash-bundle"
    SANITIZER_LOG = "sanitizer-log"
    SCRUTINEER = "scrutineer"
    INTERCHANGE = "interchange"
    MESSAGE = "message"
    TEXT = "text"


def take(raw: bytes, form: Format, *, package: str = "", lenient: bool = False) -> Taken:
    """What is in `raw`: findings, interchange records, and what is neither and why.

    `package`, a package URL with a version, is what logs, bundles and text are about. Our own JSON
    states its own and takes none; of advisories and exports it picks one package. When `lenient`,
    a finding among several that cannot be taken is named in the outcome instead of refusing all.
    Raises `TooLargeError` beyond a limit and `InvalidError` for the rest.
    """
    taken = _take(raw, form, package, lenient=lenient)
    if len(taken.reports) > MOST_FINDINGS:
        raise TooLargeError(
            f"The submission has {len(taken.reports)} findings; "
            f"at most {MOST_FINDINGS} are taken at once.",
            next_step="Send it with `clearhold finding import`, which makes several of it.",
        )
    held = sum(len(each.document.description) + len(each.trace) for each in taken.reports)
    if len(taken.reports) > 1 and held > MOST_HELD:
        raise TooLargeError(
            f"The {len(taken.reports)} findings come to {held} characters of text; "
            f"at most {MOST_HELD} are taken at once.",
            next_step="Shorten what is said of all of them, or send them in parts.",
        )
    return taken


def read(raw: bytes, form: Format, *, package: str = "") -> tuple[Report, ...]:
    """The findings in `raw` as `take` reads them."""
    return take(raw, form, package=package).reports


def _take(raw: bytes, form: Format, package: str, *, lenient: bool) -> Taken:
    if form in NAMES_ITS_OWN:
        if package:
            raise InvalidError(
                f"A submission in {form} says itself what it is about.",
                next_step="Leave the package out of the request.",
            )
        if form is Format.JSON_LINES:
            return _take_lines(raw, lenient=lenient)
        if form is Format.INTERCHANGE:
            return take_records(raw)
        return Taken((_own(finding_json.read_whole(raw)),))
    if form is Format.SARIF:
        return take_sarif(raw, versioned(package, form), lenient=lenient)
    if form in _ADVISORIES:
        wanted = versioned(package, form) if package else None
        return take_advisories(_advisories(raw, form), form=form, package=wanted)
    return _OF_ONE_PACKAGE[form](raw, package=package)


def _advisories(raw: bytes, form: Format) -> tuple[AdvisoryReport, ...]:
    if form is Format.CSAF:
        return csaf_report.read(raw)
    return (osv_report.read(raw) if form is Format.OSV else cve_report.read(raw),)


_MEMBERS: Final = (
    *("package", "title", "description", "weakness", "target", "severity", "proof", "patch"),
    *("tests", "references", "trace", "attachments"),
)


def _own(given: finding_json.Whole, at: str = "") -> Report:
    places = {name: f"{at}/{name}" for name in _MEMBERS}
    places |= {"claim": f"{at}/claim/kind", "signature": f"{at}/claim/signature"}
    return Report(
        given.document,
        (),
        "submitter:clearhold-json",
        place=at,
        places=places,
        trace=cleaned_log(given.trace),
        attachments=tuple(Attachment(name, content) for name, content in given.attachments),
    )


def _take_lines(raw: bytes, *, lenient: bool) -> Taken:
    """A finding in our own JSON on each line; empty lines count and say nothing."""
    reports, skipped = [], []
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            reports.append(_own(finding_json.read_whole(line), f"line {number}"))
        except ClearholdError as refused:
            if not lenient:
                kind = TooLargeError if isinstance(refused, TooLargeError) else InvalidError
                message = f"Line {number}: {refused.message}"
                raise kind(message, next_step=refused.next_step) from refused
            said = f"{refused.message} {refused.next_step}".strip()
            skipped.append(Skipped(f"line {number}", said))
    if not reports and not lenient:
        raise InvalidError("There is no finding.", next_step="Write one on each line.")
    return Taken(tuple(reports), tuple(skipped))


def _take_text(raw: bytes, *, package: str) -> Taken:
    return Taken((_read_text(raw, versioned(package, Format.TEXT)),))


def _read_text(raw: bytes, package: Purl) -> Report:
    text = checked_text(decoded(raw, "the text").strip(), "the text")
    if not text:
        raise InvalidError("The text is empty.", next_step="Describe what you found.")
    title, _, rest = text.partition("\n")
    return Report(
        document=FindingDocument(
            package=package,
            title=one_line(title)[:MAX_TITLE] or "Untitled report",
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
        places={"title": "line 1", "description": "line 2" if rest.strip() else "line 1"},
    )


NAMES_ITS_OWN: Final = {Format.CLEARHOLD_JSON, Format.JSON_LINES, Format.INTERCHANGE}
_ADVISORIES: Final = {Format.OSV, Format.CSAF, Format.CVE}
_OF_ONE_PACKAGE: Final = {
    Format.CRASH_BUNDLE: take_bundle,
    Format.SANITIZER_LOG: take_log,
    Format.SCRUTINEER: take_export,
    Format.MESSAGE: take_mail,
    Format.TEXT: _take_text,
}

_MARKS: Final = (
    (Format.CLEARHOLD_JSON, frozenset({"schema", "package", "title"})),
    (Format.SARIF, frozenset({"version", "runs"})),
    (Format.CVE, frozenset({"cveMetadata", "containers"})),
    (Format.CSAF, frozenset({"document", "vulnerabilities"})),
    (Format.OSV, frozenset({"id", "affected", "modified"})),
    (Format.INTERCHANGE, frozenset({"_type", "predicateType", "subject"})),
    (Format.SCRUTINEER, frozenset({"findings"})),
)


_ALL_MARKS: Final = frozenset[str]().union(*(marks for _, marks in _MARKS))
_START: Final = 1 << 20


def detect(raw: bytes) -> Format:
    """The one format that `raw` can be written in.

    Plain text could be anything and is never guessed. Raises `InvalidError` when no format fits or
    several do.
    """
    return detect_in(io.BytesIO(raw))


def detect_in(file: BinaryIO) -> Format:
    """As `detect`, of a seekable file of any size and in fixed memory; it is at its start then."""
    head = file.read(_START)
    file.seek(0)
    start = head[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    fitting: list[Format] = []
    if archive.is_archive(head[:512]):
        fitting = [Format.CRASH_BUNDLE]
    elif start[:1] in {b"{", b"["}:
        fitting = _json_formats(file, head)
    elif re.match(rb"(?i)(?:received|return-path|from|mime-version|date|subject|to):[ \t]", start):
        fitting = [Format.MESSAGE]
    elif re.search(rb"(?m)^==\d+==\s?(?:ERROR|WARNING): \w+Sanitizer: ", head):
        fitting = [Format.SANITIZER_LOG]
    if len(fitting) == 1:
        return fitting[0]
    said = f"could be {' or '.join(fitting)}" if fitting else "does not show what it is written in"
    raise InvalidError(
        f"The submission {said}.", next_step=f"Name its format, one of: {', '.join(Format)}."
    )


def _json_formats(file: BinaryIO, head: bytes) -> list[Format]:
    names = member_names(file, _ALL_MARKS)
    file.seek(0)
    if names is not None:
        return [form for form, marks in _MARKS if marks <= names]
    lines = [line for line in head.split(b"\n", 2)[:2] if line.strip()]
    first = member_names(io.BytesIO(lines[0]), _ALL_MARKS) if len(lines) == 2 else None
    if first is None:
        return []
    own = {Format.CLEARHOLD_JSON: Format.JSON_LINES, Format.INTERCHANGE: Format.INTERCHANGE}
    return [own[form] for form, marks in _MARKS if marks <= first and form in own]
