"""CodeQL is asked as its documentation says, in the sandbox, where the operator has it, and believed in nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hostile_code import packaged

from clearhold.discovery.engine import Ending, Plan, Searched, Start, Workspace
from clearhold.discovery.static import engine_codeql
from clearhold.discovery.static.engine_codeql import MARK, CodeqlEngine, distribution
from clearhold.discovery.static.engine_static import SOURCE
from clearhold.kernel.errors import InvalidError, UnavailableError
from clearhold.validation.builder import Laboratory
from reproduction_bench import laboratory

__all__ = ["laboratory"]
PLAN = Plan("pkg:generic/hostile@1.0", SOURCE, 1, 60, "codeql")
STAND_IN = Path(__file__).with_name("standing_codeql.py")
FILES = {
    "lib/a b.py": b"import os\ndef f(x):\n    os.system(x)\n",
    "lib/big.py": b"system(x)\n" * 120_000,
    "lib/code.c": b"void f(char *x) { system(x); }\n",
    "lib/left.c": b"void g(char *x) { system(x); }\n",
    "private/other.py": b"os.system(x)\n",
    ".github/codeql/codeql-config.yml": b"paths-ignore: ['**']\n",
}
BUILD = (
    b"cd $SRC && mkdir -p $OUT && gcc -c lib/code.c -o $OUT/code.o && echo lib/code.c > compiled\n"
)


def bundle(place: Path, program: bytes | None = None) -> Path:
    """A distribution with the stand-in, or another program, for CodeQL."""
    place.mkdir()
    (place / MARK).write_text("{}")
    (place / "codeql").write_bytes(STAND_IN.read_bytes() if program is None else program)
    (place / "codeql").chmod(0o755)
    for language in ("cpp", "python"):
        suites = place / "qlpacks" / "codeql" / f"{language}-queries" / "codeql-suites"
        suites.mkdir(parents=True)
        (suites / f"{language}-security-extended.qls").write_text("")
    for each in (place, *place.rglob("*")):
        each.chmod(each.stat().st_mode | 0o555 if each.is_dir() else each.stat().st_mode | 0o444)
    return place


@pytest.fixture
def search(laboratory: Laboratory, open_path: Path) -> Callable[..., Searched]:
    def searched(program: bytes | None = None, **options: str) -> Searched:
        made = packaged(laboratory, open_path, FILES, {"lib/link.py": "../private/other.py"}, BUILD)
        place = bundle(open_path / "codeql", program)
        workspace = Workspace(*made, Start(scope=("lib/**",)))
        return CodeqlEngine(lambda: place).search(
            replace(PLAN, options=options), workspace, lambda _: None
        )

    return searched


def test_what_is_read_is_the_leases_files_alone(search: Callable[..., Searched]) -> None:
    done = search(language="python")
    assert done.ending is Ending.DONE
    assert [(each.rule, each.path, each.line) for each in done.leads] == [
        ("codeql:x/command-injection", "lib/a b.py", 3)
    ]
    assert "os.system(x)" in done.leads[0].excerpt
    assert done.read == ("lib/a b.py",)
    assert set(done.unread) == {"lib/big.py", "lib/link.py"}
    assert "0.0.0-stand-in" in done.log


def test_what_is_compiled_is_compiled_as_the_recipe_says(search: Callable[..., Searched]) -> None:
    done = search(language="cpp")
    assert [(each.path, each.line) for each in done.leads] == [("lib/code.c", 1)]
    assert (done.read, done.unread) == (("lib/code.c",), ("lib/left.c",))
    assert done.crashes == ()


def taken_over(log: str) -> bytes:
    """A program that something in the package took over, which writes this log and claims all files."""
    return f"""#!/usr/bin/python3
import os, sys, zipfile
if sys.argv[1] == "version":
    print("\\x1b[31m9.9")
elif sys.argv[2] == "create":
    os.mkdir(sys.argv[-1])
    with zipfile.ZipFile(sys.argv[-1] + "/src.zip", "w") as archive:
        for name in ("lib/a b.py", "private/other.py", "../../etc/passwd"):
            archive.writestr("work/src/" + name, "")
else:
    open("/out/result.sarif", "w").write({log!r})
""".encode()


def pointing(uri: str) -> str:
    return (
        '{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": [{"ruleId": "r",'
        '"message": {"text": "\\u202e\\u001b[2J"}, "locations": [{"physicalLocation": {"artifactLocation":'
        '{"uri": "' + uri + '"}, "region": {"startLine": 99999999999}}}]}]}]}'
    )


@pytest.mark.parametrize(
    "uri",
    ["private/other.py", "../../etc/passwd", "file:///etc/passwd", "x/a%20b.py", "lib/%2e%2e/x"],
)
def test_a_log_that_lies_points_at_nothing_beyond_the_lease(
    search: Callable[..., Searched], uri: str
) -> None:
    done = search(taken_over(pointing(uri)), language="python")
    assert done.leads == ()
    assert done.read == ("lib/a b.py",)
    assert "\x1b" not in done.log


@pytest.mark.parametrize(
    "log", ["", "{", "[" * 100_000, pointing("x").replace("2.1.0", "1.0.0")], ids=repr
)
def test_a_log_that_is_none_ends_the_search(search: Callable[..., Searched], log: str) -> None:
    with pytest.raises(UnavailableError) as told:
        search(taken_over(log), language="python")
    assert told.value.next_step


def test_without_codeql_or_its_pack_the_next_step_is_told(
    search: Callable[..., Searched], laboratory: Laboratory, open_path: Path
) -> None:
    with pytest.raises(UnavailableError, match="analyze ended with 2"):
        search(STAND_IN.read_bytes().replace(b'/ "qlpacks"', b'/ "none"'), language="python")
    nowhere = CodeqlEngine(lambda: None)
    made = packaged(laboratory, open_path / "codeql", {"a.py": b"\n"}, {})
    with pytest.raises(UnavailableError, match="not on this machine"):
        nowhere.search(PLAN, Workspace(*made), lambda _: None)


def test_only_a_whole_distribution_counts(tmp_path: Path) -> None:
    assert distribution(str(tmp_path)) is None
    place = bundle(tmp_path / "bundle")
    assert distribution(str(place)) == place
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "codeql").symlink_to(place / "codeql")
    assert distribution(str(tmp_path / "bin")) == place
    (place / MARK).unlink()
    assert distribution(str(place)) is None


def test_options_name_a_language_that_is_searched() -> None:
    engine = CodeqlEngine()
    for options in ({"language": "cobol"}, {"queries": "x"}):
        with pytest.raises(InvalidError):
            engine.check(options)
    for each in engine_codeql.LANGUAGES:
        engine.check({"language": each})
