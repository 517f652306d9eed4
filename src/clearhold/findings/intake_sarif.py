"""Findings from a SARIF 2.1.0 log: one of each result that the log itself counts as a failure."""

from __future__ import annotations

from clearhold.findings.model import Skipped
from clearhold.findings.report import (
    Attachment,
    Report,
    Taken,
    checked_text,
    cleaned_log,
    one_line,
    weakness_in,
)
from clearhold.kernel.errors import ClearholdError, InvalidError
from clearhold.kernel.purl import Purl
from clearhold.wire import sarif
from clearhold.wire.finding_json import MAX_TITLE, Claim, FindingDocument


def take_sarif(raw: bytes, package: Purl, *, lenient: bool) -> Taken:
    """The findings of a log about `package`.

    What the log suppresses or no longer finds is skipped and named. A result that cannot be taken
    is skipped too when `lenient`, and refuses the log otherwise.
    """
    reports, skipped = [], []
    count = 0
    for pointer, tool, result in sarif.attempts(raw):
        count += 1
        try:
            if isinstance(result, ClearholdError):
                raise result  # refused alone or with the whole log, below
            if result.unwanted:
                skipped.append(Skipped(pointer, f"Left out: {result.unwanted}."))
                continue
            report, left = _report(result, package, tool, pointer)
        except ClearholdError as refused:
            if not lenient:
                raise
            skipped.append(Skipped(pointer, f"{refused.message} {refused.next_step}".strip()))
            continue
        reports.append(report)
        skipped += left
    if not reports and not lenient:
        said = "has no results" if not count else "has no result that it counts as a failure"
        raise InvalidError(
            f"The SARIF log {said}.", next_step="Submit a log once something was found."
        )
    return Taken(tuple(reports), tuple(skipped))


def _report(
    result: sarif.Result, package: Purl, tool: str, pointer: str
) -> tuple[Report, list[Skipped]]:
    where = f"the result at {pointer} of the SARIF log"
    message = checked_text(result.message, where)
    rule = one_line(result.rule_id)
    tags = result.properties.get("tags")
    marks = [tag for tag in (tags if isinstance(tags, list) else []) if isinstance(tag, str)]
    attachments = [Attachment("fixes.json", result.fixes)] if result.fixes else []
    left = []
    for number, (name, content) in enumerate(result.attachments):
        place = f"{pointer}/attachments/{number}"
        if content is None:
            left.append(Skipped(place, "The attachment is not in the log."))
        else:
            named = one_line(name).replace("\\", "/").rpartition("/")[2][:120]
            attachments.append(Attachment(f"{number}-{named or 'attachment'}", content))
    steps = tuple(f"flow: {_place(each, where)}" for each in result.flow)
    frames = tuple(name for each in result.frames if (name := one_line(each)[:512]))
    report = Report(
        document=FindingDocument(
            package=package,
            title=(one_line(message) or rule or "Untitled result")[:MAX_TITLE],
            description=message,
            weakness=weakness_in(rule, *marks),
            target=one_line(result.proof.target)[:64] if result.proof else "",
            claim=Claim("crash" if frames else "other", frames),
            severity=None,
            proof=result.proof.data if result.proof else b"",
            patch=checked_text(result.patch, where),
            tests="",
            references=(),
        ),
        locations=tuple(_place(location, where) for location in result.locations) + steps,
        source=f"submitter:sarif:{one_line(tool)[:60] or 'unnamed tool'}",
        place=pointer,
        places={
            "title": f"{pointer}/message",
            "description": f"{pointer}/message",
            "weakness": f"{pointer}/ruleId",
            "target": f"{pointer}/properties/clearhold~1target",
            "proof": f"{pointer}/properties/clearhold~1proof",
            "signature": f"{pointer}/stacks/0",
            "locations": f"{pointer}/locations",
            "patch": f"{pointer}/fixes/0",
        },
        trace=cleaned_log("\n".join(f"#{at} in {name}" for at, name in enumerate(frames))),
        attachments=tuple(attachments),
        given_prints=(f"{rule}\0{result.identity}",) if result.identity else (),
    )
    return report, left


def _place(location: sarif.Location, where: str) -> str:
    text = f"{location.uri}:{location.line}" if location.line else location.uri
    text = f"{text} {location.function}".strip()
    return one_line(checked_text(text, where))[:1000]
