"""The model desk's demo comes to its end with agents in boxes, and what it says can be verified."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("inspect_ai", reason="the extra `eval` is not installed")

import msgspec

from clearhold.evaluations.call_chain import RecordedCall, broken
from clearhold.settings import PREFIX
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Recipe
from reproduction_bench import CACHE


@pytest.mark.slow
def test_one_engagement_from_the_agreement_to_a_case(
    laboratory: Laboratory, ujson: Recipe, tmp_path: Path
) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "clearhold", "model", "demo", "--scripted", "--json"),
            *("--to", str(tmp_path), "--cache", str(CACHE)),
        ],
        env={name: value for name, value in os.environ.items() if not name.startswith(PREFIX)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["agents"], told["trials"], told["packets_out"]) == (True, 6, 0)
    assert told["finding"]["verdict"].startswith("reproduced")
    assert told["finding"]["case"]
    lines = (tmp_path / "calls.jsonl").read_bytes().splitlines()
    calls = [msgspec.json.decode(each, type=RecordedCall) for each in lines]
    assert broken(calls) is None
    assert told["calls"] == len(calls)
    assert sum(each.outcome == "answered" for each in calls) >= 2 * told["trials"]
