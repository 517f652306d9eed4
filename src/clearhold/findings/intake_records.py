"""What comes from scrutineer: interchange records, each taken for what it is, and its findings.

No record becomes a finding, and none binds anybody: what a third party says an owner wants is not
the owner's word. It is kept with the submission, and the receipt says what each was taken as.
"""

from __future__ import annotations

from typing import Final

from clearhold.findings.model import RecordTaken, Skipped
from clearhold.findings.report import (
    Report,
    Taken,
    checked_text,
    one_line,
    versioned,
    weakness_in,
)
from clearhold.kernel.errors import ClearholdError, InvalidError
from clearhold.kernel.purl import Purl
from clearhold.wire import interchange, scrutineer
from clearhold.wire.finding_json import MAX_TITLE, Claim, FindingDocument
from clearhold.wire.severity_vector import CvssScore, score

_TAKEN: Final = {
    "claim": (
        "a claim: another instance says it holds a finding of this hash",
        "It is no finding and gives no priority here; ask the contact it names before you report.",
    ),
    "optout": (
        "a proposal of a wish, until the owner says so itself",
        "It binds nobody: the owner makes it so with `clearhold party verify` and a wish.",
    ),
    "route": (
        "a hint how the maintainers take reports",
        "Nobody is written to because of it; the maintainers' own verified route goes first.",
    ),
    "certificate/v1": (
        "a record that a published fix was looked at again and holds",
        "Nothing follows; it is kept with your submission.",
    ),
    "certificate/v2": (
        "a record that a published fix does not hold",
        "If you have the proof, submit it as a finding: a certificate alone is none.",
    ),
}


def take_records(raw: bytes) -> Taken:
    """The interchange records of a submission, and nothing else."""
    return Taken((), (), tuple(_taken(each) for each in interchange.read(raw)))


def _taken(record: interchange.Record) -> RecordTaken:
    name = record.kind if record.kind.startswith("certificate") else record.kind.partition("/")[0]
    taken_as, next_step = _TAKEN[name]
    match record.predicate:
        case interchange.Claim(contact=contact):
            about = f"{record.digest} ({contact})"
        case interchange.OptOut(repository=repository, reason=reason):
            about = f"{repository}{f' ({reason})' if reason else ''}"
        case interchange.Route(repository=repository, channel=channel):
            about = f"{repository} ({channel})"
        case interchange.Certificate(repository=repository, advisory=advisory, status=status):
            about = f"{repository} {advisory} ({status})"
    return RecordTaken(record.place, record.kind, one_line(about), taken_as, next_step)


def take_export(raw: bytes, *, package: str) -> Taken:
    """The findings of an export; `package` says what they are about when the export does not."""
    export = scrutineer.read(raw)
    if not export.findings:
        raise InvalidError(
            "The export has no findings.", next_step="Submit one once something was found."
        )
    reports, skipped = [], []
    for at, each in enumerate(export.findings):
        place = f"/findings/{at}"
        if not (each.title or each.description):
            skipped.append(Skipped(place, "It has neither a title nor a description."))
            continue
        reports.append(_report(export, each, package, place))
    if not reports:
        raise InvalidError(
            "No finding of the export says anything.", next_step="Give each a title."
        )
    return Taken(tuple(reports), tuple(skipped))


def _report(
    export: scrutineer.Export, each: scrutineer.Exported, package: str, place: str
) -> Report:
    where = f"the finding at {place} of the export"
    reasoning = (each.boundary, each.validation, each.prior_art, each.reach, each.rating)
    words = "\n\n".join(text for text in (each.description, *reasoning) if text)
    description = checked_text(words.replace("\r\n", "\n"), where)
    lines = [*(each.location or "").splitlines(), *(each.locations or "").splitlines()]
    prefix = f"{each.sub_path.strip('/')}/" if each.sub_path else ""
    places = tuple(dict.fromkeys(f"{prefix}{one_line(line)}"[:1000] for line in lines if line))
    patch = checked_text(each.patch or each.suggested_fix or "", where)
    return Report(
        document=FindingDocument(
            package=_package(export, each, package),
            title=(one_line(each.title or "") or one_line(description) or "Untitled")[:MAX_TITLE],
            description=description,
            weakness=weakness_in(each.cwe or ""),
            target="",
            claim=Claim("other"),
            severity=_scored(each.cvss_vector or ""),
            proof=b"",
            patch=patch if "\n@@" in patch or patch.startswith("--- ") else "",
            tests="",
            references=(),
        ),
        locations=places[:64],
        source=f"submitter:scrutineer:{one_line(export.tool)[:60] or 'unnamed tool'}",
        place=place,
        places={
            "title": f"{place}/title",
            "description": f"{place}/description",
            "weakness": f"{place}/cwe",
            "severity": f"{place}/cvss_vector",
            "locations": f"{place}/location",
            "patch": f"{place}/patch" if each.patch else f"{place}/suggested_fix",
            "package": "/repository",
        },
        aliases=(one_line(each.cve_id)[:100],) if each.cve_id else (),
    )


def _package(export: scrutineer.Export, each: scrutineer.Exported, package: str) -> Purl:
    commit = each.commit or export.commit
    if not package and export.package and commit:
        return Purl.parse(export.package).at(one_line(commit)[:64])
    return versioned(package, "scrutineer JSON whose repository or commit is not known here")


def _scored(vector: str) -> CvssScore | None:
    try:
        return score(vector) if vector else None
    except ClearholdError:
        return None  # a word such as "high" is no vector
