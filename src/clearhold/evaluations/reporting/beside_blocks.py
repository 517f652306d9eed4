"""What a report shows besides the tests: safeguards up to their re-test, the burden, and decisions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from clearhold.evaluations.reporting.beside import Beside, Burden, Effort, Safeguard
from clearhold.evaluations.reporting.shapes import Block, Heading, Paragraph, Table

_HOUR: Final = 3600
_DAY: Final = 24


def beside_blocks(beside: Beside) -> Iterator[Block]:
    """The three parts, in their order."""
    yield from _safeguards(beside)
    yield from _burden(beside)
    yield from _decisions(beside)


def _safeguards(beside: Beside) -> Iterator[Block]:
    yield Heading("Ways around safeguards")
    yield Paragraph(
        f"As they stood on {_instant(beside.as_of)}. The evaluator reports them, the developer mends "
        "them, and the evaluator tests the same configuration again; nobody's own fix is verified by "
        "itself. Titles and reasons are in the words of the side that wrote them."
    )
    if not beside.safeguards:
        yield Paragraph("None was reported.")
        return
    yield from _left_out(beside.safeguards_left_out, "findings")
    yield Table(
        "Findings",
        ("Number", "Title", "Variant", "Reach", "Severity", "Found by", "Stands", "SHA-256"),
        tuple(
            (
                str(number),
                each.title,
                each.variant,
                each.reach,
                each.severity,
                _found_by(each),
                str(each.stands),
                each.sha256,
            )
            for number, each in enumerate(beside.safeguards, 1)
        ),
    )
    logged = [
        (number, each.effort) for number, each in enumerate(beside.safeguards, 1) if each.effort
    ]
    if logged:
        yield Table(
            "Effort, as logs of attempts have it",
            ("Finding", "Attempts", "Turns", "Minutes", "Until all was reached", "Log, SHA-256"),
            tuple((str(number), *_effort(effort)) for number, effort in logged),
        )
    else:
        yield Paragraph("No log of attempts was given; hours are as the evaluator states them.")
    yield _steps(beside)


def _steps(beside: Beside) -> Table:
    rows = []
    for number, each in enumerate(beside.safeguards, 1):
        rows.append((str(number), _instant(each.reported_at), "evaluator", "reported", "", "", ""))
        if each.steps_left_out:
            told = f"{each.steps_left_out} steps are not told"
            rows.append((str(number), "", "", told, "", "", ""))
        rows += [
            (
                str(number),
                _instant(step.at),
                str(step.by),
                str(step.to),
                step.reason,
                step.configuration,
                step.trials_sha256,
            )
            for step in each.steps
        ]
    return Table(
        "Steps to a fix and its re-test",
        ("Finding", "When", "Said by", "Step", "Reason", "Configuration", "Trials of the re-test"),
        tuple(rows),
    )


def _found_by(each: Safeguard) -> str:
    how = "a program" if each.automated else "people"
    tried = f"; tried on {', '.join(each.also_in)}" if each.also_in else ""
    return f"{how}, {each.expert_hours:g} hours{tried}"


def _effort(effort: Effort) -> tuple[str, ...]:
    first = "nothing reached all"
    if effort.first_attempts is not None and effort.first_minutes is not None:
        first = f"{effort.first_attempts} attempts, {effort.first_minutes:g} minutes"
        first += "; any request" if effort.universal else "; one kind of request"
        first += "; by a program" if effort.automated else ""
    return str(effort.attempts), str(effort.turns), f"{effort.minutes:g}", first, effort.sha256


def _burden(beside: Beside) -> Iterator[Block]:
    yield Heading("What it cost the developer")
    yield Paragraph(
        "Hours and tokens of requests are as departments stated them beforehand; calls and their "
        "tokens are those of the gateway's record. What else the developer spent is not known here."
    )
    yield Table(
        f"Burden, on {_instant(beside.as_of)}",
        ("What", "How much"),
        tuple(_burden_rows(beside.burden)),
    )


def _burden_rows(burden: Burden) -> Iterator[tuple[str, str]]:
    hours = burden.delay_s / _HOUR
    yield "Departments with a part", str(burden.departments)
    yield "Requests, and runs that serve them", f"{burden.requests}, {burden.runs}"
    yield "Hours of the developer's people, as stated", f"{burden.hours:g}"
    yield "Hours that duplicates would have added", f"{burden.spared_hours:g}"
    yield "Tokens, as stated", f"{burden.tokens:,}"
    yield "Tokens that duplicates would have added", f"{burden.spared_tokens:,}"
    yield "Calls to the developer's endpoint", f"{burden.calls:,}"
    yield "Tokens of these calls", f"{burden.call_tokens:,}"
    yield "Delay of the end of access", f"{hours:.1f} hours ({hours / _DAY:.1f} days)"


def _decisions(beside: Beside) -> Iterator[Block]:
    yield Heading("Decisions of authorities")
    yield Paragraph(
        "Whether a rule covers the model is for an authority to decide. What follows is what "
        "authorities decided and signed, in their words; nothing here computes it or acts on it."
    )
    if not beside.decisions:
        yield Paragraph("None was recorded.")
        return
    yield from _left_out(beside.decisions_left_out, "earlier decisions")
    yield Table(
        "Decisions",
        ("Authority", "Decided by", "When", "Decision", "Rule", "Rests on", "Envelope, SHA-256"),
        tuple(
            (
                each.authority,
                each.decided_by,
                _instant(each.decided_at),
                each.decision,
                each.rule,
                each.basis,
                each.sha256,
            )
            for each in beside.decisions
        ),
    )
    rows = [
        (each.authority, put.what, put.sha256) for each in beside.decisions for put in each.inputs
    ]
    missing = sum(each.inputs_left_out for each in beside.decisions)
    yield Table("What they rest on", ("Authority", "Input", "SHA-256"), tuple(rows))
    yield from _left_out(missing, "inputs")


def _left_out(count: int, what: str) -> Iterator[Paragraph]:
    if count:
        yield Paragraph(f"{count} more {what} are not told here.")


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
