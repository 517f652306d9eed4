"""`clearhold model report`: from trials to a draft, the reply, what is signed, and its proof."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer

from clearhold.delivery.cli import party_key
from clearhold.delivery.cli.log_reading import content, write_new
from clearhold.delivery.cli.model_agreement import KEY
from clearhold.delivery.cli.output import JsonOption, hub, show, told
from clearhold.delivery.cli.party_key import now
from clearhold.evaluations import plan, trials
from clearhold.evaluations.reporting import (
    closing,
    document,
    drafting,
    every_eval_ever,
    page,
    signed,
)
from clearhold.evaluations.reporting.beside import Beside
from clearhold.evaluations.reporting.document import Access, Tested, Written
from clearhold.kernel.errors import ConflictError, InvalidError, UnavailableError
from clearhold.wire import json_bounds
from clearhold.wire.signed_note import NoteVerifier

app = typer.Typer(help="Reports of tests: draft, reply, what is signed.", no_args_is_help=True)

PLAN = Annotated[Path, typer.Option(help="The plan that was registered.")]
TRIALS = Annotated[Path, typer.Option(help="The trials, as the harness left them.")]
EARLIER = Annotated[
    list[Path] | None, typer.Option(help="Trials of a model the plan compares with; repeat.")
]
TO = Annotated[Path, typer.Option(help="A new file.")]


@app.command("words")
@told
def words() -> None:
    """Print a file of sections to fill in."""
    typer.echo(drafting.WORDS, nl=False)


@app.command("draft")
@told
def draft(
    engagement: str,
    plan_file: Annotated[Path, typer.Option("--plan", help="The plan that was registered.")],
    trials_file: Annotated[Path, typer.Option("--trials", help="As the harness left them.")],
    words_file: Annotated[Path, typer.Option("--words", help="Sections; see `words`.")],
    to: TO,
    earlier: EARLIER = None,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Write a draft from trials; nothing is estimated before those of the plan are done."""
    connection = hub()
    facts = connection.get(f"/evaluations/engagements/{engagement}/report")
    if facts["access"] is None:
        raise ConflictError("Access has not begun, so there is nothing to report.")
    stands = connection.get(f"/evaluations/engagements/{engagement}")
    ended = stands["state"] not in {"access_verified", "testing", "paused"}
    written = drafting.draft(
        msgspec.convert(facts["tested"], Tested),
        msgspec.convert(facts["access"], Access),
        plan.read(content(plan_file)),
        trials.read(content(trials_file)),
        _earlier(earlier),
        sections=drafting.sections_of(content(words_file).decode(errors="replace")),
        plan_sha256=facts["plan_sha256"],
        beside=msgspec.convert(facts["beside"], Beside),
        ended=ended or stands["clock"]["elapsed"],
        at=now(),
    )
    write_new(to, written.content)
    show({"file": str(to), "sha256": written.sha256, "due": facts["draft_due"]}, as_json=as_json)


@app.command("send")
@told
def send(engagement: str, file: Path, *, as_json: bool = JsonOption) -> None:
    """Send the developer the draft; read it first."""
    connection = hub()
    facts = connection.get(f"/evaluations/engagements/{engagement}/report")
    written = document.read(content(file))
    if written.report.tested.engagement != facts["tested"]["engagement"]:
        raise InvalidError("The draft is of another engagement.")
    body = {"report": written.content.decode()}
    show(connection.post(f"/evaluations/engagements/{engagement}/draft", body), as_json=as_json)


@app.command("papers")
@told
def listing(engagement: str, *, as_json: bool = JsonOption) -> None:
    """List what was written in an engagement, as far as your party may read it."""
    show(hub().get(f"/evaluations/engagements/{engagement}/papers"), as_json=as_json)


@app.command("open")
@told
def open_paper(paper: str, to: TO, *, as_json: bool = JsonOption) -> None:
    """Write a paper, such as the draft, to a file."""
    found = hub().get(f"/evaluations/papers/{paper}")
    data = found.pop("content").encode()
    if hashlib.sha256(data).hexdigest() != found["sha256"]:
        raise InvalidError("The hub sent something else than the paper's digest says.")
    write_new(to, data)
    show(found | {"file": str(to)}, as_json=as_json)


@app.command("reply")
@told
def reply(engagement: str, file: Path, *, as_json: bool = JsonOption) -> None:
    """Reply to the draft, as the developer; the words go into the final report unchanged."""
    try:
        text = content(file).decode()
    except UnicodeDecodeError as error:
        raise InvalidError(f"{file} is no text in UTF-8.") from error
    body = {"text": text}
    show(hub().post(f"/evaluations/engagements/{engagement}/reply", body), as_json=as_json)


@app.command("final")
@told
def final(
    engagement: str,
    key: Annotated[Path, KEY],
    to: TO,
    corrected: Annotated[Path | None, typer.Option(help="The draft with corrections.")] = None,
    because: Annotated[
        list[str] | None, typer.Option(help="PART=REASON for each part that was corrected.")
    ] = None,
    remove: Annotated[
        Path | None,
        typer.Option(help="TOML: [[removals]] section or place, text, right_of, reason."),
    ] = None,
    renew: Annotated[
        str,
        typer.Option(help="Tell safeguards, burden and decisions as they stand now; the reason."),
    ] = "",
    *,
    as_json: bool = JsonOption,
) -> None:
    """Close the draft with the reply, sign it, issue it, and write the file that proves itself.

    What was removed is written beside it with its salts; keep that to yourself.
    """
    signer = party_key.load(key)
    connection = hub()
    at = f"/evaluations/engagements/{engagement}"
    kept = {each["kind"]: each for each in connection.get(f"{at}/papers")}
    sent = document.read(_paper(connection, kept, "draft"))
    state = connection.get(at)["state"]
    answered = (
        closing.reply_of("replied", _paper(connection, kept, "reply").decode())
        if "reply" in kept
        else closing.reply_of("waived" if state == "reply_waived" else "elapsed")
    )
    report = sent.report if corrected is None else document.read(content(corrected)).report
    reasons = dict(_reason(each) for each in because or [])
    if renew:
        known = msgspec.convert(connection.get(f"{at}/report")["beside"], Beside)
        report = msgspec.structs.replace(report, beside=known, format=document.FORMAT)
        reasons["beside"] = renew
    whole, removed = closing.close(
        sent,
        report,
        answered,
        _removals(remove),
        reasons,
        at=now(),
    )
    envelope = signed.sign(whole, signer)
    if removed:
        told_apart = [
            {"number": each.number, "salt": each.salt.hex(), "text": each.text} for each in removed
        ]
        write_new(to.with_name(f"{to.name}.removed.json"), msgspec.json.encode(told_apart))
    body = {"report": whole.content.decode(), "envelope": envelope.decode()}
    connection.post(f"{at}/final", body)
    write_new(to, signed.pack(whole.content, envelope, None))
    show({"file": str(to), "sha256": whole.sha256, "removed": len(removed)}, as_json=as_json)


@app.command("fetch")
@told
def fetch(engagement: str, to: TO, *, as_json: bool = JsonOption) -> None:
    """Write the final report with the log's proof, once the log is published."""
    connection = hub()
    found = connection.get(f"/evaluations/engagements/{engagement}/final")
    inclusion = None
    if found["leaf"] is not None:
        try:
            inclusion = connection.get(f"/ledger/leaves/{found['leaf']}/proof")
        except ConflictError:
            inclusion = None  # the published log does not reach it yet
    packed = signed.with_proof(found["file"].encode(), inclusion)
    write_new(to, packed)
    show({"file": str(to), "in_the_log": inclusion is not None}, as_json=as_json)


@app.command("render")
@told
def render(file: Path, to: Annotated[Path, typer.Option(help="A directory.")]) -> None:
    """Write a report as report.json, report.html and report.pdf."""
    from clearhold.evaluations.reporting.pdf import pdf  # noqa: PLC0415  (of the extra `eval`)

    written = _any_report(file)
    try:
        to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(f"{to} cannot be made.") from error
    write_new(to / "report.json", written.content)
    write_new(to / "report.html", page.page(written).encode())
    write_new(to / "report.pdf", pdf(written))
    show({"written": ["report.json", "report.html", "report.pdf"]}, as_json=False)


@app.command("verify")
@told
def verify(
    file: Path,
    key: Annotated[list[str], typer.Option(help="The evaluator's public key, in hexadecimal.")],
    log_key: Annotated[
        str, typer.Option(help="The log's verifier key: then the log must tell of it too.")
    ] = "",
    plan_file: Annotated[
        Path | None, typer.Option("--plan", help="With --trials: compute every figure again.")
    ] = None,
    trials_file: Annotated[Path | None, typer.Option("--trials")] = None,
    earlier: EARLIER = None,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Verify a final report without any hub; with the trials, its figures too."""
    keys = {text: party_key.public_key(text) for text in key}
    log = NoteVerifier.parse(log_key) if log_key else None
    found = signed.verify(content(file), keys, log)
    report = found.written.report
    shown: dict[str, Any] = {
        "verified": True,
        "model": report.tested.model,
        "evaluator": report.tested.evaluator,
        "signed_with": found.key,
        "sha256": found.written.sha256,
        "logged_at": found.logged_at,
        "reply": report.closing.reply.how if report.closing else None,
        "removed": len(report.closing.redactions) if report.closing else 0,
    }
    if report.beside is not None:
        shown["safeguards"] = [str(each.stands) for each in report.beside.safeguards]
        shown["decisions"] = [each.decision for each in report.beside.decisions]
    if (plan_file is None) is not (trials_file is None):
        raise InvalidError("Give the plan and the trials together.")
    if plan_file is not None and trials_file is not None:
        known, run = plan.read(content(plan_file)), trials.read(content(trials_file))
        same = drafting.recomputed(found.written, known, run, _earlier(earlier))
        shown["figures_recomputed"] = same
        if not same:
            show(shown, as_json=as_json)
            raise ConflictError("These trials do not give the figures of the report.")
    show(shown, as_json=as_json)


@app.command("export")
@told
def export(
    file: Path,
    to: TO,
    form: Annotated[Literal["every-eval-ever"], typer.Option("--format")] = "every-eval-ever",
) -> None:
    """Write a report in a format that others read (every_eval_ever 0.3.0)."""
    record = every_eval_ever.export(_any_report(file))
    write_new(to, json_bounds.canonical(record))
    show({"file": str(to), "format": form}, as_json=False)


def _earlier(files: list[Path] | None) -> dict[str, trials.RecordedRun]:
    runs = [trials.read(content(each)) for each in files or []]
    return {each.run.model: each for each in runs}


def _paper(connection: Any, kept: dict[str, Any], kind: str) -> bytes:
    if kind not in kept:
        raise ConflictError(f"There is no {kind} in this engagement.")
    found: str = connection.get(f"/evaluations/papers/{kept[kind]['id']}")["content"]
    return found.encode()


def _any_report(file: Path) -> Written:
    """A draft, a final report, or what stands in a signed file; the signature is `verify`'s."""
    data = content(file)
    try:
        return document.read(data)
    except InvalidError:
        return signed.unpacked(data)


class _Removals(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    removals: tuple[_Removal, ...]


class _Removal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str
    right_of: Literal["developer", "evaluator", "third-party"]
    reason: str
    section: int | None = None
    place: str = ""


def _removals(file: Path | None) -> list[closing.Removal]:
    if file is None:
        return []
    try:
        found = msgspec.convert(tomllib.loads(content(file).decode()), _Removals)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidError(f"{file} tells of no removals: {error}.") from error
    return [
        closing.Removal(
            each.place if each.section is None else each.section,
            each.text,
            each.right_of,
            each.reason,
        )
        for each in found.removals
    ]


def _reason(text: str) -> tuple[str, str]:
    part, sign, reason = text.partition("=")
    if not sign:
        raise InvalidError("A reason is given as PART=REASON.")
    return part, reason
