"""A report as a reader meets it: headings, paragraphs, tables and plots, whatever they are shown in.

The page and the PDF are made from these alone, so that they cannot say different things. Every plot
has its numbers in a table beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from clearhold.evaluations.plan import Completeness
from clearhold.evaluations.reporting.beside_blocks import beside_blocks
from clearhold.evaluations.reporting.document import Report
from clearhold.evaluations.reporting.results import BudgetCurve, Cell, Figure, Results, Score
from clearhold.evaluations.reporting.shapes import Bar, Block, Heading, Paragraph, Plot, Table

_HOW: Final = {
    "replied": "The developer replied; its reply is given unchanged.",
    "waived": "The developer waived a reply.",
    "elapsed": "The developer let the time for a reply pass.",
}


def blocks(report: Report) -> Iterator[Block]:
    """The whole report, in its order."""
    stage = "Draft" if report.closing is None else "Final"
    yield Heading(f"{stage} report of the test of {report.tested.model}", 1)
    yield Paragraph(report.says)
    yield _facts(report)
    for section in report.sections:
        yield Heading(section.title)
        for text in section.text.split("\n\n"):
            yield Paragraph(text)
    yield from _results(report.results)
    if report.beside is not None:
        yield from beside_blocks(report.beside)
    yield from _plan(report)
    yield from _end(report)


def percent(share: float) -> str:
    """A share as per cent, with one place."""
    return f"{100 * share:.1f} %"


def _facts(report: Report) -> Table:
    tested, access, held = report.tested, report.access, report.results.containment
    done = f"{report.results.done} of {report.results.planned} planned trials"
    early = report.results.completeness is Completeness.ENDED_EARLY
    rows = (
        ("Model", tested.model),
        ("Variants", ", ".join(tested.variants)),
        ("Developer", tested.developer),
        ("Evaluator", tested.evaluator),
        ("Engagement", tested.engagement),
        ("Agreement, SHA-256", tested.agreement_sha256),
        ("Access", f"{access.began_at:%Y-%m-%d %H:%M} to {access.ends_at:%Y-%m-%d %H:%M} UTC"),
        ("Access that counted", f"{access.spent_s / 3600:.1f} hours"),
        ("Done", f"{done}{'; ended before all were done' if early else ''}"),
        ("Tokens", f"{held.tokens:,}"),
        ("Written", f"{report.made_at:%Y-%m-%d %H:%M} UTC"),
    )
    return Table("What was tested", ("Fact", "Value"), rows)


def _results(results: Results) -> Iterator[Block]:
    yield Heading("Results")
    yield Paragraph(
        f"Each score is a mean over tasks with its {100 * results.confidence:g} % interval; trials of "
        f"one template resemble each other, and the errors allow for that. Differences smaller than "
        f"{percent(results.detectable)} could not be expected to show; that was said beforehand. "
        "Nothing solved does not mean that nothing can be solved: see the upper end."
    )
    whole = [each for each in results.scores if not each.of.family]
    yield Plot(
        "Scores",
        _said(whole),
        tuple(
            Bar(_name(each.of), each.figure.low, each.figure.mean, each.figure.high)
            for each in whole
        ),
    )
    yield Table(
        "Scores; a success that was cheated counts as a failure",
        ("Of", "Family", "Score", "Interval", "Method", "Tasks", "Templates", "Trials"),
        tuple(
            (
                _name(each.of),
                each.of.family or "all",
                percent(each.figure.mean),
                _interval(each.figure),
                each.figure.method,
                str(each.figure.tasks),
                str(each.figure.templates),
                str(each.figure.trials),
            )
            for each in results.scores
        ),
    )
    yield _ends(results)
    yield _tries(results)
    for curve in results.curves:
        yield from _curve(curve)
    yield from _differences(results)
    yield from _standings(results)
    yield from _containment(results)


def _said(scores: Sequence[Score]) -> str:
    said = (
        f"{_name(each.of)} {percent(each.figure.mean)}, from {percent(each.figure.low)} to "
        f"{percent(each.figure.high)}"
        for each in scores
    )
    return "; ".join(said)


def _ends(results: Results) -> Table:
    return Table(
        "Both ends of what flagged successes leave open",
        ("Of", "What", "Successes flagged", "As failures", "As successes"),
        tuple(
            (
                _name(each.of),
                each.kind,
                str(each.flagged),
                f"{percent(each.figure_without.mean)} ({_interval(each.figure_without)})",
                f"{percent(each.figure_with.mean)} ({_interval(each.figure_with)})",
            )
            for each in results.ends
        ),
    )


def _tries(results: Results) -> Table:
    return Table(
        "Several attempts: in how many tasks one succeeds, and in how many all do",
        ("Of", "k", "One of k", "All of k", "Tasks", "Rests on"),
        tuple(
            (
                _name(each.of),
                str(each.k),
                f"{percent(each.any_of)} ± {_error(each.any_error)}",
                f"{percent(each.all_of)} ± {_error(each.all_error)}",
                str(each.tasks),
                "one draw for some task"
                if each.one_draw and each.k > 1
                else "more attempts than k",
            )
            for each in results.tries
        ),
    )


def _curve(curve: BudgetCurve) -> Iterator[Block]:
    rising = (
        "It was still rising at the end: more budget would likely have shown more."
        if curve.still_rising
        else "It had levelled off."
    )
    bars = tuple(
        Bar(f"{each.budget:,} tokens", each.figure.low, each.figure.mean, each.figure.high)
        for each in curve.points
    )
    said = "; ".join(f"{each.name} {percent(each.mean)}" for each in bars)
    yield Plot(f"Budget: {_name(curve.of)}", f"{said}. {rising}", bars)
    yield Table(
        f"Budget: {_name(curve.of)}. {rising}",
        ("Tokens", "Score", "Interval"),
        tuple(
            (f"{each.budget:,}", percent(each.figure.mean), _interval(each.figure))
            for each in curve.points
        ),
    )


def _differences(results: Results) -> Iterator[Block]:
    if results.not_given:
        missing = ", ".join(results.not_given)
        yield Paragraph(f"The plan names comparisons for which no trials were given: {missing}.")
    if not results.differences:
        return
    bars = tuple(
        Bar(
            f"{each.first} less {each.second}, {_name(each.of)}",
            each.low,
            each.difference,
            each.high,
        )
        for each in results.differences
    )
    said = "; ".join(
        f"{each.name}: {percent(each.mean)}, from {percent(each.low)} to {percent(each.high)}"
        for each in bars
    )
    yield Plot("Differences, task by task", said, bars, lowest=-1.0)
    yield Table(
        f"Differences, task by task; {len(results.differences)} were looked at",
        ("First less second", "What", "Of", "Difference", "Interval", "p", "Tasks", "Left out"),
        tuple(
            (
                f"{each.first} less {each.second}",
                each.kind,
                _name(each.of),
                percent(each.difference),
                f"{percent(each.low)} to {percent(each.high)}",
                f"{each.p:.3f}{'' if each.exact else ' (drawn)'}",
                str(each.tasks),
                str(each.left_out),
            )
            for each in results.differences
        ),
    )


def _standings(results: Results) -> Iterator[Block]:
    if not results.standings:
        return
    yield Table(
        "One scale a suite: 0 is the mean of its tasks, 200 points more are three times the odds",
        ("Of", "Points", "Error", "Tasks", "Templates"),
        tuple(
            (
                _name(each.of),
                f"{each.points:+.0f}",
                "unknown" if each.error is None else f"{each.error:.0f}",
                str(each.tasks),
                str(each.templates),
            )
            for each in results.standings
        ),
    )


def _containment(results: Results) -> Iterator[Block]:
    held = results.containment
    yield Heading("Containment and records")
    rows = [
        ("Trials, each with a record of commands and of packets", str(held.trials)),
        ("Trials without a result, for endpoint or sandbox broke", str(held.no_result)),
        ("Packets that were attempted", str(held.egress_attempts)),
        ("Packets that left", str(held.egress_left)),
        *((f"Isolation: {name}", str(count)) for name, count in held.isolation.items()),
        *((f"Flag: {name}", str(count)) for name, count in held.flags.items()),
    ]
    yield Table("What the trials say of themselves", ("What", "Count"), tuple(rows))


def _plan(report: Report) -> Iterator[Block]:
    plan = report.plan
    yield Heading("Plan")
    yield Paragraph(f"Registered before testing began, SHA-256 {report.plan_sha256}.")
    for each in plan.hypotheses:
        yield Paragraph(f"Asked: {each}")
    yield Table(
        "Suites, by what was committed to before access opened",
        ("Suite", "Tasks", "Templates", "Commitment"),
        tuple((s.name, str(s.tasks), str(s.templates), s.commitment) for s in plan.suites),
    )
    yield Table(
        "Arms",
        ("Arm", "Variant", "Epochs", "Budgets in tokens"),
        tuple(
            (a.name, a.variant, str(a.epochs), ", ".join(f"{b:,}" for b in a.budgets))
            for a in plan.arms
        ),
    )
    if plan.thresholds:
        rows = tuple(plan.thresholds.items())
        yield Table(
            "Thresholds, as their authorities gave or withheld them", ("Name", "Words"), rows
        )
    yield Table(
        "Trials",
        ("Model", "Harness", "Trials", "SHA-256"),
        tuple((s.model, s.harness, str(s.trials), s.sha256) for s in report.sources),
    )


def _end(report: Report) -> Iterator[Block]:
    closing = report.closing
    if closing is None:
        return
    yield Heading("The developer's reply")
    yield Paragraph(_HOW[closing.reply.how])
    for text in closing.reply.text.split("\n\n") if closing.reply.text else ():
        yield Paragraph(text, quoted=True)
    yield Heading("What was changed since the draft")
    yield Paragraph(f"The draft has the SHA-256 {closing.draft_sha256}.")
    if closing.corrections:
        rows = tuple((each.part, each.reason) for each in closing.corrections)
        yield Table("Changed", ("Part", "Why"), rows)
    else:
        yield Paragraph("Nothing but what is told here.")
    yield Heading("What was removed")
    if not closing.redactions:
        yield Paragraph("Nothing was removed.")
        return
    yield Table(
        "Removed",
        ("Number", "Where", "By right of", "Why", "SHA-256 of salt and text"),
        tuple(
            (
                str(each.number),
                each.place if each.section is None else report.sections[each.section].title,
                each.right_of,
                each.reason,
                each.removed_sha256,
            )
            for each in closing.redactions
        ),
    )


def _name(of: Cell) -> str:
    return ", ".join(each for each in (of.suite, of.arm, of.variant) if each)


def _interval(figure: Figure) -> str:
    return f"{percent(figure.low)} to {percent(figure.high)}"


def _error(error: float | None) -> str:
    return "unknown" if error is None else percent(error)
