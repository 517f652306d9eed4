"""`./run bench [NAME …] [--json] [--full] [--list]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import Final

from benchmarks import (
    access,
    discovery,
    escapes,
    evaluation,
    evaluation_report,
    gateway,
    intake,
    known_check,
    leases,
    ledger,
    model_statistics,
    public_known,
    sandbox,
    secrecy,
    validation,
)
from benchmarks.dedup_truth import bench as dedup_truth
from benchmarks.false_validations import bench as false_validations
from benchmarks.figure import Figure
from benchmarks.patches import run as patches
from benchmarks.root_cause import run as root_cause

BENCHES: Final[dict[str, Callable[..., Iterator[Figure]]]] = {
    "access": access.run,
    "dedup-truth": dedup_truth.run,
    "discovery": discovery.run,
    "escapes": escapes.run,
    "evaluation": evaluation.run,
    "evaluation-report": evaluation_report.run,
    "false-validations": false_validations.run,
    "gateway": gateway.run,
    "intake": intake.run,
    "known-check": known_check.run,
    "leases": leases.run,
    "ledger": ledger.run,
    "patches": patches,
    "public-known": public_known.run,
    "root-cause": root_cause,
    "sandbox": sandbox.run,
    "secrecy": secrecy.run,
    "statistics": model_statistics.run,
    "validation": validation.run,
}


def main() -> int:
    """Run the named benchmarks, or all; exit code 1 when a goal was missed."""
    parser = argparse.ArgumentParser(prog="./run bench")
    parser.add_argument("names", nargs="*", choices=[[], *BENCHES], metavar="NAME")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--full", action="store_true", help="the whole claim")
    parser.add_argument("--list", action="store_true", help="only name the benchmarks")
    given = parser.parse_args()
    if given.list:
        print("\n".join(BENCHES))
        return 0
    missed = 0
    for name in given.names or BENCHES:
        for figure in BENCHES[name](full=given.full):
            print(figure.line(as_json=given.json), flush=True)
            missed += not figure.met
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
