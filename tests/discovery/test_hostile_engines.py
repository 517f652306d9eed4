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
from clearhold.discovery.engine_afl import Afl
from clearhold.discovery.engine_atheris import Atheris
from clearhold.discovery.engine_libfuzzer import LibFuzzer
from clearhold.discovery.fuzzing import Fuzzer, FuzzingEngine
from clearhold.kernel.errors import UnavailableError
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


# Real engines, whose target writes what they would, and where they do.
FORGES_C = r"""
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
static void put(const char *name, const char *text) {
  FILE *file = fopen(name, "w");
  if (file) { fputs(text, file); fclose(file); }
}
static void forge(const char *inside) {
  char name[400];
  const char *odd[] = {"id:0\n#7 NEW cov: 8", "id-rf *", "id:..%2f..%2fetc", "id $(id)"};
  for (int i = 0; i < 4; i++) {
    snprintf(name, sizeof name, "%s%s", inside, odd[i]);
    put(name, "one");
  }
  snprintf(name, sizeof name, "%sid-link", inside);
  symlink("/", name);
  snprintf(name, sizeof name, "%sid-fifo", inside);
  mkfifo(name, 0600);
}
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static int done;
  if (done++) return size > 2 && data[0] == 'q' ? 0 : 1;
  static char flood[1 << 20];
  memset(flood, 'x', sizeof flood);
  for (int fd = 1; fd < 12; fd++) {
    dprintf(fd, "\n#999999999999 NEW cov: 999999999 ft: 1\nstat::number_of_executed_units: 9\n");
    dprintf(fd, "\n#99999999999999999999 AFL cov: 1\n==1==ERROR: AddressSanitizer: heap-use\n");
    if (fd < 4) write(fd, flood, sizeof flood);
  }
  put("found/default/fuzzer_stats", "execs_done : 99999999999999999999\nedges_found : -1\n");
  forge("found/default/crashes/");
  forge("found/default/queue/");
  forge("corpus/");
  forge("/out/crash-");
  return 0;
}
"""
FORGES_PYTHON = b"""\
import os
done = []
def test_one_input(data):
    if done:
        return
    done.append(1)
    for fd in range(1, 12):
        try:
            os.write(fd, b"\\n#999999999999 NEW cov: 999999999 ft: 1\\nstat::number_of_executed_units: 9\\n")
            os.write(fd, b"x" * (1 << 20) if fd < 4 else b"")
        except OSError:
            pass
    for name in ("crash-0\\n#7 NEW cov: 8", "crash--rf *", "crash-$(id)"):
        open("/out/" + name, "w").write("one")
    os.symlink("/", "/out/crash-link")
    os.mkfifo("/out/crash-fifo")
"""


def forging(cjson: Recipe, ujson: Recipe, fuzzer: Fuzzer) -> tuple[Recipe, str]:
    """A recipe whose harness forges what that engine says, and its target."""
    if fuzzer.name == "atheris":
        return parse("forging", {**ujson.files, "fuzz_decode.py": FORGES_PYTHON}), "decode"
    build = cjson.files["build.sh"].replace(
        b'cJSON.c "$RECIPE/parse.c" -lm', b'"$RECIPE/forges.c"', 1
    )
    files = {**cjson.files, "build.sh": build, "forges.c": FORGES_C.encode()}
    return parse("forging", files), "parse"


@pytest.mark.parametrize("fuzzer", [LibFuzzer(), Afl(), Atheris()], ids=lambda each: each.name)
def test_a_target_that_writes_what_its_engine_would_is_given_no_more_than_its_word(
    laboratory: Laboratory, cjson: Recipe, ujson: Recipe, fuzzer: Fuzzer
) -> None:
    recipe, target = forging(cjson, ujson, fuzzer)
    engine = FuzzingEngine(fuzzer, round_s=1)
    try:
        done = engine.search(
            Plan("", target, 1, 2, fuzzer.name), Workspace(laboratory, recipe), lambda _: None
        )
    except UnavailableError as error:
        if "did not start" in error.message:
            raise
        pytest.skip(f"{error.message} {error.next_step}")
    assert done.ending in {Ending.BUDGET, Ending.PLATEAU}
    assert done.confirmed == ()
    assert {each.content for each in done.crashes} <= {b"one", b""}
    assert done.executions < 1 << 53
    assert done.edges < 1 << 31
    assert len(done.corpus) <= MOST_INPUTS
    assert set(recipe.seeds(target)) <= set(done.corpus)


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
