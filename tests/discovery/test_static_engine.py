"""A real analyser in the real sandbox reads what the lease covers, whatever the package says to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hostile_code import HARD, HOSTILE, LINKS, WISHES, packaged

from clearhold.discovery.engine import Ending, Plan, Progress, Start, Workspace
from clearhold.discovery.static import engine_static
from clearhold.discovery.static.analysers import Analyser, bandit, ruff, semgrep
from clearhold.discovery.static.engine_static import SOURCE, StaticEngine
from clearhold.kernel.errors import UnavailableError
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Recipe
from reproduction_bench import laboratory

__all__ = ["laboratory"]
PLAN = Plan("pkg:generic/hostile@1.0", SOURCE, 1, 60, "ruff")


@pytest.fixture(scope="module")
def package(
    laboratory: Laboratory, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Laboratory, Recipe]:
    try:
        laboratory.tools(ruff().files)
    except UnavailableError as error:
        pytest.skip(f"{error.message} {error.next_step}")
    return packaged(laboratory, tmp_path_factory.mktemp("archives"), HOSTILE, LINKS)


def test_ruff_reads_the_lease_and_heeds_no_wish_of_the_package(
    package: tuple[Laboratory, Recipe],
) -> None:
    start = Start(scope=("lib/**",))
    done = StaticEngine(ruff()).search(PLAN, Workspace(*package, start), lambda _: None)
    assert done.ending is Ending.DONE
    assert {"lib/code.py", "lib/-q.py"} <= set(done.read)
    assert all(path.startswith("lib/") and path.endswith(".py") for path in done.read)
    assert done.crashes == ()
    met = {(each.rule, each.path, each.line) for each in done.leads}
    assert ("ruff:S307", "lib/code.py", 3) in met
    assert ("ruff:S605", "lib/code.py", 4) in met
    assert not {path for _, path, _ in met} & {"private/notes.py", "lib/link.py", *WISHES}
    (lead,) = (each for each in done.leads if each.rule == "ruff:S307")
    assert "3:     value = eval(text)" in lead.excerpt
    assert set(done.unread) == {"lib/binary.py", "lib/huge.py", "lib/link.py"}
    assert "3 of 6 files read" in done.log


def writes(program: str) -> Analyser:
    """A stand-in for an analyser that something in the package took over."""
    return replace(
        ruff(), program="/usr/bin/python3", argv=("python3", "-c", program), name="taken-over"
    )


@pytest.mark.parametrize(
    "program",
    [
        "raise SystemExit(3)",
        "print('{')",
        "open('/out/read.json', 'w').write('[' * 100000)",
        "import os; os.symlink('/etc/passwd', '/out/read.json')",
        "import os; os.remove('/out/result.sarif'); os.mkdir('/out/result.sarif')",
    ],
)
def test_an_analyser_that_was_taken_over_ends_the_search_and_no_more(
    package: tuple[Laboratory, Recipe], program: str
) -> None:
    workspace = Workspace(*package)
    with pytest.raises(UnavailableError) as told:
        StaticEngine(writes(program)).search(PLAN, workspace, lambda _: None)
    assert told.value.next_step


BREAKS = """\
import json, os, pathlib, sys, time
staged = sorted(pathlib.Path('staged').iterdir())
for each in staged:
    text = each.read_text()
    if 'ABORT' in text: os.abort()
    if 'FLOOD' in text: sys.stdout.write('[' * (80 << 20)); raise SystemExit
    if 'BOMB' in text: sys.stdout.write('[' * 100000); raise SystemExit
    if 'HANG' in text: time.sleep(600)
results = [{'ruleId': 'R1', 'message': {'text': 'm'}, 'locations': [{'physicalLocation':
  {'artifactLocation': {'uri': each.name}, 'region': {'startLine': 1}}}]} for each in staged]
print(json.dumps({'version': '2.1.0', 'runs': [{'tool': {'driver': {'name': 'x'}}, 'results': results}]}))
"""


def test_a_file_on_which_an_analyser_fails_costs_itself_and_not_the_search(
    package: tuple[Laboratory, Recipe], tmp_path: Path
) -> None:
    wrong = {"lib/abort.py": b"ABORT", "lib/bomb.py": b"BOMB", "lib/flood.py": b"FLOOD"}
    good = {f"lib/good{number}.py": b"x = 1\n" for number in range(5)}
    workspace = Workspace(*packaged(package[0], tmp_path, wrong | good, {}))
    told: list[Progress] = []
    done = StaticEngine(writes(BREAKS)).search(PLAN, workspace, told.append)
    assert done.ending is Ending.DONE
    assert set(done.read) == set(good)
    assert set(done.unread) == set(wrong)
    assert {each.path for each in done.leads} == set(good)
    assert told[-1].executions == len(good)
    assert "3 files made taken-over fail" in done.log
    assert all(each in done.log for each in wrong)


def test_a_file_on_which_an_analyser_hangs_costs_time_and_not_what_else_was_read(
    package: tuple[Laboratory, Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_static, "_SHORTEST_S", 1.0)
    files = {"lib/a.py": b"x = 1\n", "lib/b.py": b"HANG", "lib/c.py": b"x = 1\n"}
    workspace = Workspace(*packaged(package[0], tmp_path, files, {}))
    plan = replace(PLAN, budget_s=16)
    done = StaticEngine(writes(BREAKS)).search(plan, workspace, lambda _: None)
    assert "lib/a.py" in done.read
    assert "lib/b.py" in done.unread
    assert done.spent_s <= plan.budget_s


@pytest.mark.parametrize(
    ("analyser", "met"),
    [(bandit(), {"lib/code.py"}), (semgrep(), {"lib/code.py", "lib/code.c"})],
    ids=["bandit", "semgrep"],
)
def test_bandit_and_semgrep_read_what_is_hard_to_read(
    package: tuple[Laboratory, Recipe], tmp_path: Path, analyser: Analyser, met: set[str]
) -> None:
    try:
        package[0].tools(analyser.files, size_cap=analyser.largest)
    except UnavailableError as error:
        pytest.skip(f"{error.message} {error.next_step}")
    workspace = Workspace(*packaged(package[0], tmp_path, HARD, {}), Start(scope=("lib/**",)))
    done = StaticEngine(analyser).search(replace(PLAN, budget_s=240), workspace, lambda _: None)
    assert done.ending is Ending.DONE
    assert met <= {each.path for each in done.leads}
    assert all(each.rule.startswith(f"{analyser.name}:") for each in done.leads)
    assert {*done.read, *done.unread} == {
        path for path in HARD if Path(path).suffix in analyser.reads
    }


def test_without_the_pinned_files_the_next_step_is_told(
    package: tuple[Laboratory, Recipe], tmp_path: Path
) -> None:
    laboratory, recipe = package

    class Nothing:
        def fetch(self, origin: str, _sha256: str, *, size_cap: int = 0) -> Path:
            raise UnavailableError(f"No {origin}.", next_step="Connect.")

        def pin(self, origin: str, *, size_cap: int = 0) -> str:
            raise NotImplementedError

    bare = Laboratory(laboratory.sandbox, Nothing(), tmp_path / "cache")
    assert not ruff().is_in(tmp_path / "cache")
    assert ruff().is_in(laboratory._cache)
    with pytest.raises(UnavailableError) as told:
        StaticEngine(ruff()).search(PLAN, Workspace(bare, recipe), lambda _: None)
    assert "ruff 0.17.6 is not here" in told.value.message
    assert told.value.next_step == "Connect."
