"""An engine's output is what a hostile target wrote: names, links, floods and forged counts come to nothing."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from clearhold.delivery.cli import discover, main
from clearhold.discovery.corpus import MOST_BYTES, MOST_INPUTS
from clearhold.discovery.engine import Ending, Plan, Progress, Searched, Standing, Workspace
from clearhold.discovery.engine_libfuzzer import LibFuzzer
from clearhold.discovery.fuzzing import FuzzingEngine
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Recipe, parse

# What it is called with ends in the directory of the working corpus and that of the seeds.
FLOOD = r"""#!/bin/sh
printf '#99999999999999999999 NEW cov: 7\n#12 NEW cov: 12\n' >&2
printf '\033]0;owned\007\033[2J#999 NEW   cov: 3 ft: 1\n' >&2
head -c 6000000 /dev/zero | tr '\0' 'x' >&2
printf '\n#1000 NEW cov: 40\n' >&2
printf one > '/out/crash-
#7 NEW cov: 8'
printf two > '/out/crash-..%2f..%2f..%2fetc%2fpasswd'
ln -s /etc/passwd /out/crash-link
ln -s / /out/crash-root
mkfifo /out/crash-fifo
mkdir -p /out/crash-directory && printf three > /out/crash-directory/inner
head -c 5000000 /dev/zero > /out/crash-huge
i=0
while [ $i -lt 2500 ]; do printf "%04d" $i > "corpus/-rf $i"; i=$((i + 1)); done
head -c 600 /dev/zero > corpus/long
ln -s /etc/passwd corpus/link
exit 77
"""
ELSEWHERE = r"""#!/bin/sh
printf '#12 NEW cov: 12\n' >&2
rm -rf corpus && ln -s /etc corpus
ln -s /usr/share /out/corpus
exit 0
"""


def hostile(recipe: Recipe, engine: str) -> Recipe:
    """A recipe whose harness is that program."""
    build = recipe.files["build.sh"].replace(
        b'cd "$SRC"',
        b'cd "$SRC"\nif [ "$FLAVOUR" = fuzz ]; then\n'
        b'  cp "$RECIPE/engine.sh" "$OUT/fuzz_parse" && exit 0\nfi',
        1,
    )
    return parse("hostile", {**recipe.files, "build.sh": build, "engine.sh": engine.encode()})


def searched(
    laboratory: Laboratory, recipe: Recipe, *, budget_s: int
) -> tuple[Searched, list[Progress]]:
    told: list[Progress] = []
    plan = Plan("", "parse", 1, budget_s)
    engine = FuzzingEngine(LibFuzzer(), round_s=1)
    return engine.search(plan, Workspace(laboratory, recipe), told.append), told


def test_what_an_engine_says_counts_only_as_far_as_the_laboratory_shows_it(
    laboratory: Laboratory, cjson: Recipe
) -> None:
    done, told = searched(laboratory, hostile(cjson, FLOOD), budget_s=2)
    assert done.ending in {Ending.BUDGET, Ending.PLATEAU}
    assert done.confirmed == ()
    met = {each.content for each in done.crashes}
    assert met <= {b"one", b"two", b"three", b""}
    assert b"two" in met
    assert all(each.standing is Standing.UNCONFIRMED for each in done.crashes)
    assert any(each.verdict == "too_large" for each in done.crashes)
    assert done.executions < 1 << 53
    assert done.edges < 1 << 31
    assert len(done.corpus) <= MOST_INPUTS
    assert sum(map(len, done.corpus.values())) <= MOST_BYTES
    assert all(len(each) <= 512 for each in done.corpus.values())
    assert not any(b"root:" in each for each in done.corpus.values())
    assert all(
        each.crashes == () or not each.crashes[0].content.startswith(b"root:") for each in told
    )


def test_links_in_place_of_the_corpus_bring_nothing_out(
    laboratory: Laboratory, cjson: Recipe
) -> None:
    done, _ = searched(laboratory, hostile(cjson, ELSEWHERE), budget_s=1)
    assert done.crashes == ()
    assert done.corpus == cjson.seeds("parse")


def test_inputs_are_written_under_numbers_alone_into_a_new_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Hub:
        def get(self, path: str) -> dict[str, Any]:
            held = base64.b64encode(b"INPUT").decode()
            return {
                "/discovery/campaigns/x": {"crashes": [{"number": 1, "reason": "../../evil"}]},
                "/discovery/campaigns/x/crashes/1": {"content": held},
                "/discovery/campaigns/x/corpus": {"inputs": [held, held]},
            }[path]

    monkeypatch.setattr(discover, "hub", Hub)
    for command, names in (("crashes", ["01"]), ("corpus", ["00001", "00002"])):
        words = ["discover", command, "x", str(tmp_path / command)]
        assert CliRunner().invoke(main.app, words).exit_code == 0
        made = sorted((tmp_path / command).iterdir())
        assert [each.name for each in made] == names
        assert {each.read_bytes() for each in made} == {b"INPUT"}
        again = CliRunner().invoke(main.app, words)
        assert again.exit_code == 1
        assert "exists already" in again.output


def test_what_a_target_printed_reaches_no_terminal_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Hub:
        def get(self, path: str) -> dict[str, Any]:
            del path
            return {"state": "nothing_found", "note": "\x1b]0;owned\x07\x1b[2Jdone\u202e"}

    monkeypatch.setattr(discover, "hub", Hub)
    shown = CliRunner().invoke(main.app, ["discover", "show", "x"])
    assert shown.exit_code == 0
    assert "done" in shown.stdout
    assert not set(shown.stdout) & set("\x1b\x07\u202e")
