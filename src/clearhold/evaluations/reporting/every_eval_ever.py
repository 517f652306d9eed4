"""A report as every_eval_ever 0.3.0 writes results, so that others can set them beside theirs.

The format (evaleval/every_eval_ever, MIT) has no place for brackets, plans, suites' commitments or
containment: they stand as text in `additional_details`, which it leaves open. Suites are private
data there. What it calls an evaluation is here one score of a suite, arm and variant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from clearhold.evaluations.reporting.beside import Beside
from clearhold.evaluations.reporting.document import Report, Written
from clearhold.evaluations.reporting.results import Figure, Results, Score

VERSION: Final = "0.3.0"


def export(written: Written) -> dict[str, Any]:
    """The record of a report; values of `additional_details` are text, as the format asks."""
    report = written.report
    tested = report.tested
    made = str(int(report.made_at.timestamp()))
    harness, _, version = report.sources[0].harness.partition(" ")
    return {
        "schema_version": VERSION,
        "evaluation_id": f"clearhold/{tested.developer}_{tested.model}/{made}",
        "evaluation_timestamp": report.access.began_at.isoformat(),
        "retrieved_timestamp": made,
        "source_metadata": {
            "source_name": "Clearhold",
            "source_type": "evaluation_run",
            "source_organization_name": tested.evaluator,
            "evaluator_relationship": "third_party",
            "additional_details": _told(report, written.sha256),
        },
        "eval_library": {"name": harness, "version": version or "unknown"},
        "model_info": {
            "name": tested.model,
            "id": f"{tested.developer}/{tested.model}",
            "developer": tested.developer,
            "additional_details": {
                "deployment_type": "externally_managed",
                "model_availability": "unknown",
                "variants": ", ".join(tested.variants),
            },
        },
        "evaluation_results": [*_results(report)],
    }


def _told(report: Report, sha256: str) -> dict[str, str]:
    results, held = report.results, report.results.containment
    closing = report.closing
    return {
        "report_sha256": sha256,
        "plan_sha256": report.plan_sha256,
        "agreement_sha256": report.tested.agreement_sha256,
        "stage": "draft" if closing is None else "final",
        "reply": "none yet" if closing is None else closing.reply.how,
        "redactions": "0" if closing is None else str(len(closing.redactions)),
        "completeness": results.completeness,
        "trials_planned": str(results.planned),
        "trials_done": str(results.done),
        "trials_without_result": str(held.no_result),
        "detectable_difference": repr(results.detectable),
        "packets_attempted": str(held.egress_attempts),
        "packets_out": str(held.egress_left),
        "isolation": ", ".join(f"{name} {count}" for name, count in held.isolation.items()),
        "says": report.says,
    } | _beside(report.beside)


def _beside(beside: Beside | None) -> dict[str, str]:
    """Counts alone: whoever compares results has no use for what stands in findings and decisions."""
    if beside is None:
        return {}
    burden = beside.burden
    stands = Counter(str(each.stands) for each in beside.safeguards)
    said = Counter(str(each.decision) for each in beside.decisions)
    return {
        "safeguard_findings": _counted(stands),
        "safeguard_findings_left_out": str(beside.safeguards_left_out),
        "decisions_of_authorities": _counted(said),
        "decisions_left_out": str(beside.decisions_left_out),
        "burden_hours": repr(burden.hours),
        "burden_tokens": str(burden.tokens),
        "burden_calls": str(burden.calls),
        "burden_call_tokens": str(burden.call_tokens),
        "burden_delay_seconds": str(burden.delay_s),
    }


def _counted(found: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(found.items())) or "none"


def _results(report: Report) -> Iterator[dict[str, Any]]:
    suites = {each.name: each for each in report.plan.suites}
    arms = {(each.name, each.variant): each for each in report.plan.arms}
    for score in report.results.scores:
        of = score.of
        suite, arm = suites[of.suite], arms[of.arm, of.variant]
        yield {
            "evaluation_result_id": "/".join((of.suite, of.family or "all", of.arm, of.variant)),
            "evaluation_name": f"{of.suite}, {of.family}" if of.family else of.suite,
            "source_data": {
                "dataset_name": of.suite,
                "source_type": "other",
                "additional_details": {
                    "commitment": suite.commitment,
                    "tasks": str(suite.tasks),
                    "templates": str(suite.templates),
                },
            },
            "metric_config": {
                "evaluation_description": "Share of trials that succeeded, mean over tasks; a success "
                "that was cheated counts as a failure.",
                "metric_name": "success",
                "lower_is_better": False,
                "score_type": "continuous",
                "min_score": 0,
                "max_score": 1,
            },
            "score_details": {
                "score": score.figure.mean,
                "details": _details(score, report.results),
                "uncertainty": _uncertainty(score.figure, report.results.confidence),
            },
            "generation_config": {
                "generation_args": {"eval_limits": {"token_limit": arm.budgets[-1]}},
                "additional_details": {
                    "arm": of.arm,
                    "epochs": str(arm.epochs),
                    "variant": of.variant,
                },
            },
        }


def _uncertainty(figure: Figure, confidence: float) -> dict[str, Any]:
    interval = {
        "lower": figure.low,
        "upper": figure.high,
        "confidence_level": confidence,
        "method": figure.method,
    }
    found: dict[str, Any] = {"confidence_interval": interval, "num_samples": figure.trials}
    if figure.error is not None:
        found["standard_error"] = {"value": figure.error, "method": "clustered by template"}
    return found


def _details(score: Score, results: Results) -> dict[str, str]:
    """What belongs to a score of a whole suite: both ends of brackets, and several attempts."""
    found = {
        "tasks": str(score.figure.tasks),
        "templates": str(score.figure.templates),
        "effective_tasks": repr(score.figure.effective),
    }
    for ends in results.ends:
        if ends.of == score.of:
            found[f"{ends.kind}_flagged"] = str(ends.flagged)
            found[f"{ends.kind}_as_failures"] = repr(ends.figure_without.mean)
            found[f"{ends.kind}_as_successes"] = repr(ends.figure_with.mean)
    for tries in results.tries:
        if tries.of == score.of:
            found[f"pass@{tries.k}"] = repr(tries.any_of)
            found[f"pass^{tries.k}"] = repr(tries.all_of)
    return found
