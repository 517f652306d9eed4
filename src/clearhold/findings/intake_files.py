"""Findings that come as files: a crash bundle, a sanitizer's log alone, a message with attachments."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

from clearhold.findings.intake_advisory import take_advisories
from clearhold.findings.model import Skipped
from clearhold.findings.report import (
    MOST_ATTACHMENTS,
    Attachment,
    Report,
    Taken,
    checked_text,
    cleaned_log,
    decoded,
    one_line,
    versioned,
)
from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.wire import archive, crash_bundle, finding_json, mail, osv_report, sanitizer_log
from clearhold.wire.crash_bundle import CrashBundle
from clearhold.wire.finding_json import (
    MAX_PROOF_BYTES,
    MAX_TITLE,
    Claim,
    FindingDocument,
)


def take_bundle(raw: bytes, *, package: str) -> Taken:
    """The one finding of an archive laid out as `wire.crash_bundle` says."""
    bundle = crash_bundle.read(archive.members(io.BytesIO(raw)))
    return _from_files(bundle, source="submitter:crash-bundle", package=package, title="")


def take_mail(raw: bytes, *, package: str) -> Taken:
    """The one finding of a message: its text, and its attachments by their names as in a bundle."""
    message = mail.read(raw)
    names: set[str] = set()
    files = [("description.txt", message.text.encode())]
    for number, (name, content) in enumerate(message.attachments):
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", name.replace("\\", "/").rpartition("/")[2])[:120]
        plain = plain.strip("._") or "attachment"
        if plain.lower() in names or plain.lower() == "description.txt":
            plain = f"{number}-{plain}"
        names.add(plain.lower())
        files.append((plain, content))
    title = one_line(checked_text(message.subject, "the subject of the message"))
    bundle = crash_bundle.read(files)
    return _from_files(bundle, source="submitter:message", package=package, title=title)


def take_log(raw: bytes, *, package: str) -> Taken:
    """The one finding that a sanitizer's log alone amounts to."""
    if len(raw) > sanitizer_log.MAX_LOG:
        raise TooLargeError(
            f"The log has {len(raw)} bytes; at most {sanitizer_log.MAX_LOG} are taken.",
            next_step="Cut it to the failure and what led to it.",
        )
    bundle = CrashBundle({"trace": ("the log", raw)})
    if sanitizer_log.read(cleaned_log(decoded(raw, "the log"))) is None:
        raise InvalidError(
            "The log reports no failure that is known here.",
            next_step="Submit it as text, or in a crash bundle with words that explain it.",
        )
    return _from_files(bundle, source="submitter:sanitizer-log", package=package, title="")


def _from_files(bundle: CrashBundle, *, source: str, package: str, title: str) -> Taken:
    stated = _structured(bundle, package)
    words = decoded(bundle.content("words"), bundle.name("words"))
    words = checked_text(words, bundle.name("words")).strip()
    trace = cleaned_log(decoded(bundle.content("trace"), bundle.name("trace")))
    failure = sanitizer_log.read(trace) if trace else None
    if not words and stated is None and failure is None and not trace:
        raise InvalidError(
            "The files hold no words about the flaw and no log of a failure.",
            next_step="Add a README.md that says what happens, or the sanitizer's output as "
            "trace.txt.",
        )
    base = stated.document if stated is not None else None
    head, _, rest = words.partition("\n")
    named = title or one_line(head.lstrip("# ")) or (base.title if base else "")
    named = named or (failure.summary if failure else "")
    proof = bundle.content("proof")
    if len(proof) > MAX_PROOF_BYTES:
        raise TooLargeError(
            f"The proof {bundle.name('proof')!a} has {len(proof)} bytes; "
            f"at most {MAX_PROOF_BYTES} are taken.",
            next_step="Reduce the input to what is needed to trigger the flaw.",
        )
    claim = Claim(failure.kind, tuple(map(one_line, failure.frames))) if failure else Claim("other")
    if base is not None and base.claim.signature:
        claim = base.claim
    said = words if title else (rest.strip() or words)
    attachments, skipped = _attachments(bundle)
    document = FindingDocument(
        package=base.package if base is not None else versioned(package, source.partition(":")[2]),
        title=(one_line(named) or "Untitled report")[:MAX_TITLE],
        description=said
        or (base.description if base else "")
        or (failure.summary if failure else ""),
        weakness=(base.weakness if base else "") or (failure.weakness if failure else ""),
        target=base.target if base else "",
        claim=claim,
        severity=base.severity if base else None,
        proof=proof or (base.proof if base else b""),
        patch=_diff(bundle, "patch") or (base.patch if base else ""),
        tests=_diff(bundle, "tests") or (base.tests if base else ""),
        references=base.references if base else (),
    )
    places = {
        role: bundle.name(part)
        for role, part in (
            ("title", "words"),
            ("description", "words"),
            ("signature", "trace"),
            ("claim", "trace"),
            ("trace", "trace"),
            ("proof", "proof"),
            ("patch", "patch"),
            ("tests", "tests"),
        )
        if bundle.name(part)
    }
    report = Report(
        document=document,
        locations=stated.locations if stated else (),
        source=source,
        place=bundle.name("finding") or bundle.name("osv") or bundle.name("words"),
        places=places,
        trace=trace,
        attachments=tuple(attachments),
        aliases=stated.aliases if stated else (),
    )
    return Taken((report,), tuple(skipped))


def _structured(bundle: CrashBundle, package: str) -> Report | None:
    """What `finding.json` or `osv.json` says."""
    if "finding" in bundle.parts:
        if package:
            raise InvalidError(
                "The bundle's finding.json names its own package.",
                next_step="Leave the package out of the request.",
            )
        return Report(finding_json.read(bundle.content("finding")), (), "")
    if "osv" not in bundle.parts:
        return None
    stated = osv_report.read(bundle.content("osv"))
    wanted = versioned(package, "an OSV record") if package else None
    taken = take_advisories([stated], form="osv", package=wanted)
    if len(taken.reports) > 1:
        raise InvalidError(
            f"The bundle's osv.json names {len(taken.reports)} packages.",
            next_step="Say which one the bundle is about: give the package with its version.",
        )
    return taken.reports[0]


def _diff(bundle: CrashBundle, role: str) -> str:
    name = bundle.name(role)
    return checked_text(decoded(bundle.content(role), name), name)


def _attachments(bundle: CrashBundle) -> tuple[list[Attachment], list[Skipped]]:
    files: Sequence[tuple[str, bytes]] = bundle.others
    if "build" in bundle.parts:
        files = [bundle.parts["build"], *files]
    kept = [Attachment(name, content) for name, content in files if content]
    if len(kept) > MOST_ATTACHMENTS:
        raise TooLargeError(
            f"There are {len(kept)} further files; at most {MOST_ATTACHMENTS} are taken.",
            next_step="Leave out what is not needed to understand or repeat it.",
        )
    return kept, [Skipped(name, "The file is empty.") for name, content in files if not content]
