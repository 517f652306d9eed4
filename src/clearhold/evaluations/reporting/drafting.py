"""A draft from what the hub knows of an engagement, the plan, the trials and the evaluator's words."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from clearhold.evaluations.plan import Registered
from clearhold.evaluations.reporting.beside import Beside
from clearhold.evaluations.reporting.document import (
    FORMAT,
    SAYS,
    Access,
    Report,
    Section,
    Source,
    Tested,
    Written,
    write,
)
from clearhold.evaluations.trials import RecordedRun
from clearhold.kernel.errors import InvalidError

WORDS: Final = """\
# Words of the report, section by section. Paragraphs are parted by an empty line.
[[sections]]
title = "Summary"
text = \"\"\"
What was asked, and what the figures below show.
\"\"\"

[[sections]]
title = "What this does not show"
text = \"\"\"
Limits of the suites, of elicitation and of time. That the model held back on purpose is not excluded.
\"\"\"
"""


class _Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sections: tuple[Section, ...]


def sections_of(text: str) -> tuple[Section, ...]:
    """Sections from TOML as in `WORDS`. Raises `InvalidError`."""
    try:
        found = msgspec.convert(tomllib.loads(text), _Words)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise InvalidError(f"These are no words of a report: {error}.") from error
    return tuple(
        Section(text=each.text.strip("\n").replace("\r\n", "\n"), title=each.title)
        for each in found.sections
    )


def draft(
    tested: Tested,
    access: Access,
    known: Registered,
    run: RecordedRun,
    earlier: Mapping[str, RecordedRun],
    *,
    sections: Sequence[Section],
    plan_sha256: str,
    beside: Beside,
    ended: bool,
    at: datetime,
) -> Written:
    """The draft; `plan_sha256` is the digest that the hub has of the plan, `beside` what it told.

    Raises as `estimates.results` and `document.write` do.
    """
    from clearhold.evaluations.reporting.estimates import (  # noqa: PLC0415  (of the extra `eval`)
        results,
    )

    if run.run.model != tested.model:
        raise InvalidError(f"The trials are of {run.run.model}, the engagement of {tested.model}.")
    if not {each.variant for each in run.run.trials} <= set(tested.variants):
        raise InvalidError("Trials are of a variant that is not in the engagement.")
    others = {name: each.run for name, each in earlier.items()}
    return write(
        Report(
            access=access,
            beside=beside,
            closing=None,
            format=FORMAT,
            made_at=at,
            plan=known.plan,
            plan_sha256=known.sha256,
            results=results(known, run.run, plan_sha256, others, ended=ended),
            says=SAYS,
            sections=tuple(sections),
            sources=tuple(_source(each) for each in (run, *earlier.values())),
            tested=tested,
        )
    )


def recomputed(
    written: Written, known: Registered, run: RecordedRun, earlier: Mapping[str, RecordedRun]
) -> bool:
    """Whether these trials are those that a report names, and give exactly its figures."""
    from clearhold.evaluations.reporting.estimates import (  # noqa: PLC0415  (of the extra `eval`)
        results,
    )

    report = written.report
    named = {each.model: each.sha256 for each in report.sources}
    given = {run.run.model: run.sha256} | {name: each.sha256 for name, each in earlier.items()}
    if named != given:
        return False
    others = {name: each.run for name, each in earlier.items()}
    found = results(known, run.run, report.plan_sha256, others, ended=True)
    as_told = msgspec.structs.replace(found, completeness=report.results.completeness)
    return as_told == report.results


def _source(given: RecordedRun) -> Source:
    run = given.run
    return Source(harness=run.harness, model=run.model, sha256=given.sha256, trials=len(run.trials))
