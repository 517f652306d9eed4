"""What `./run` promises to somebody who has just cloned the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent
LABORATORY = {"gcc", "g++", "clang", "libclang-rt-dev", "llvm", "patch", "bubblewrap"}
PIECES = (
    "run",
    ".ci/run",
    "tools.txt",
    "uv.lock",
    "pyproject.toml",
    "src/clearhold/delivery/cli/system_checks.py",
)
ORDINARY = [
    "bash",
    "cat",
    "chmod",
    "cksum",
    "dirname",
    "flock",
    "grep",
    "id",
    "mkdir",
    "mktemp",
    "mv",
    "python3",
    "readlink",
    "rm",
    "sed",
    "sh",
    "tail",
    "tee",
    "touch",
]


@dataclass
class Checkout:
    """A copy of the set-up's files and the only commands that it will find."""

    root: Path
    commands: Path
    env: dict[str, str] = field(default_factory=dict)

    def provide(self, name: str, script: str) -> None:
        """Put a command of ours on the search path."""
        program = self.commands / name
        program.unlink(missing_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        program.chmod(0o755)

    def run(self, *arguments: str, program: str = "run") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.root / program), *arguments],
            cwd=self.commands,
            env={"PATH": str(self.commands), "HOME": str(self.root), **self.env},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    root = tmp_path / "a place" / "clearhold"
    for piece in PIECES:
        target = root / piece
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / piece, target)
    commands = tmp_path / "commands"
    commands.mkdir()
    for name in ORDINARY:
        found = shutil.which(name, path=f"/usr/bin:/bin:{os.environ['PATH']}")
        if found:
            (commands / name).symlink_to(found)
    return Checkout(root, commands)


@pytest.fixture
def provisioned(checkout: Checkout) -> Checkout:
    """A checkout with a uv that notes each call and makes an environment whose commands echo."""
    checkout.provide(
        "uv",
        r"""
echo "$*" >>"$HOME/uv-calls"
mkdir -p "$UV_PROJECT_ENVIRONMENT/bin"
for name in python clearhold ruff mypy lint-imports; do
  printf '#!/bin/sh\necho %s "$@"\n' "$name" >"$UV_PROJECT_ENVIRONMENT/bin/$name"
  chmod +x "$UV_PROJECT_ENVIRONMENT/bin/$name"
done
""",
    )
    return checkout


def calls(checkout: Checkout) -> list[str]:
    noted = checkout.root / "uv-calls"
    return noted.read_text(encoding="utf-8").splitlines() if noted.exists() else []


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
def test_the_script_is_understood_by_every_posix_shell(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    subprocess.run([shell, "-n", str(REPOSITORY / "run")], check=True)


@pytest.mark.parametrize("arguments", [(), ("wish",), ("--help",)])
def test_without_a_command_it_knows_it_shows_what_there_is(
    checkout: Checkout, arguments: tuple[str, ...]
) -> None:
    done = checkout.run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    for command in ("demo", "test", "bench", "lint", "clearhold", "setup"):
        assert f"\n  {command} " in done.stderr


def test_an_ordinary_user_gets_the_one_line_that_root_must_run(checkout: Checkout) -> None:
    checkout.provide("id", "echo 1000")
    checkout.provide("apt-get", 'touch "$HOME/apt-was-called"')
    done = checkout.run("demo")
    assert done.returncode == 2
    assert re.fullmatch(
        r"apt-get update && apt-get install -y --no-install-recommends [a-z0-9+ .-]+\n", done.stdout
    )
    assert set(done.stdout.split()) >= LABORATORY
    assert done.stderr.count("\n") == 1
    assert "as root" in done.stderr
    assert not (checkout.root / "apt-was-called").exists()
    assert not (checkout.root / ".venv").exists()


def test_root_has_the_missing_packages_installed(provisioned: Checkout) -> None:
    provisioned.provide("id", "echo 0")
    provisioned.provide("dpkg", ":")
    provisioned.provide("apt-get", 'echo "$*" >>"$HOME/apt-calls"')
    done = provisioned.run("demo", "--quick")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "clearhold demo --quick\n"
    update, install = (provisioned.root / "apt-calls").read_text(encoding="utf-8").splitlines()
    assert update.endswith(" update")
    assert set(install.split()) >= LABORATORY | {"-y", "--no-install-recommends"}


def test_a_machine_of_another_family_is_told_what_to_install(checkout: Checkout) -> None:
    done = checkout.run("demo")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert set(done.stderr.split()) >= LABORATORY


def test_what_tests_alone_need_is_not_asked_of_a_demo(checkout: Checkout) -> None:
    checks = checkout.root / "src" / "clearhold" / "delivery" / "cli" / "system_checks.py"
    with_none = checks.read_text(encoding="utf-8").replace("libsofthsm2.so", "none.so")
    checks.write_text(with_none, encoding="utf-8")
    assert "softhsm2" in checkout.run("test").stderr.split()
    assert "softhsm2" not in checkout.run("demo").stderr.split()


def test_the_package_archive_out_of_reach_is_one_sentence(checkout: Checkout) -> None:
    checkout.provide("id", "echo 0")
    checkout.provide("dpkg", ":")
    checkout.provide("apt-get", "echo \"Temporary failure resolving 'deb.example'\" >&2; exit 100")
    done = checkout.run("demo")
    assert done.returncode == 1
    assert "The network gave out, so system packages could not be fetched" in done.stderr


def test_a_python_that_is_too_old_is_named(checkout: Checkout) -> None:
    script = (checkout.root / "run").read_text(encoding="utf-8")
    assert script.count("/usr/bin/python3 python3 ") == 1
    (checkout.root / "run").write_text(
        script.replace("/usr/bin/python3 python3 ", "python3 "), encoding="utf-8"
    )
    for each in ("python3", "python3.11", "python3.12", "python3.13", "python3.14"):
        checkout.provide(each, "echo 3.9; exit 1")
    done = checkout.run("demo")
    assert done.returncode == 2
    assert "Python 3.11 or later is needed and this machine has 3.9" in done.stderr


def test_arguments_reach_the_product_from_any_directory(provisioned: Checkout) -> None:
    done = provisioned.run("clearhold", "party", "show", "two words")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "clearhold party show two words\n"


def test_a_machine_that_is_set_up_is_left_alone(provisioned: Checkout) -> None:
    for _ in range(3):
        assert provisioned.run("clearhold").returncode == 0
    assert len(calls(provisioned)) == 1
    (call,) = calls(provisioned)
    assert "--frozen" in call
    assert "--no-dev" in call


def test_a_changed_lock_file_is_followed(provisioned: Checkout) -> None:
    provisioned.run("clearhold")
    with (provisioned.root / "uv.lock").open("a", encoding="utf-8") as lock:
        lock.write("\n")
    assert provisioned.run("clearhold").returncode == 0
    assert len(calls(provisioned)) == 2


def test_tools_for_tests_are_added_once_and_stay(provisioned: Checkout) -> None:
    provisioned.run("clearhold")
    provisioned.run("lint")
    provisioned.run("clearhold")
    first, second = calls(provisioned)
    assert "--no-dev" in first
    assert "--no-dev" not in second
    with (provisioned.root / "uv.lock").open("a", encoding="utf-8") as lock:
        lock.write("\n")
    provisioned.run("clearhold")
    assert "--no-dev" not in calls(provisioned)[-1]


def test_a_set_up_that_was_killed_is_made_anew(provisioned: Checkout) -> None:
    whole = (provisioned.commands / "uv").read_text(encoding="utf-8")
    provisioned.provide(
        "uv", 'mkdir -p "$UV_PROJECT_ENVIRONMENT/half"; kill -9 "$PPID"; kill -9 $$'
    )
    assert provisioned.run("clearhold").returncode != 0
    assert (provisioned.root / ".venv" / "half").exists()
    provisioned.provide("uv", whole.removeprefix("#!/bin/sh\n"))
    assert provisioned.run("clearhold").returncode == 0
    assert not (provisioned.root / ".venv" / "half").exists()


def test_a_checkout_that_moved_is_set_up_anew(provisioned: Checkout) -> None:
    provisioned.run("clearhold")
    (provisioned.root / ".venv" / "stale").touch()
    provisioned.root = provisioned.root.rename(provisioned.root.parent / "elsewhere")
    assert provisioned.run("clearhold").returncode == 0
    assert not (provisioned.root / ".venv" / "stale").exists()


def test_an_environment_made_by_hand_is_kept_and_completed(provisioned: Checkout) -> None:
    (provisioned.root / ".venv").mkdir()
    (provisioned.root / ".venv" / "own").touch()
    assert provisioned.run("clearhold").returncode == 0
    assert (provisioned.root / ".venv" / "own").exists()
    assert len(calls(provisioned)) == 1


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("error: write failed: No space left on device (os error 28)", "The disk is full"),
        ("error: dns error: failed to lookup address information", "The network gave out"),
        ("error: hash mismatch for a package", "the Python packages could not be set up"),
    ],
)
def test_a_failed_set_up_says_why_and_the_next_run_mends_it(
    provisioned: Checkout, output: str, sentence: str
) -> None:
    whole = (provisioned.commands / "uv").read_text(encoding="utf-8")
    provisioned.provide("uv", f"echo '{output}' >&2; exit 2")
    done = provisioned.run("clearhold")
    assert done.returncode == 1
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert sentence in last
    assert "run ./run clearhold again" in last
    provisioned.provide("uv", whole.removeprefix("#!/bin/sh\n"))
    assert provisioned.run("clearhold").returncode == 0


def test_a_clone_that_cannot_be_written_is_one_sentence(provisioned: Checkout) -> None:
    (provisioned.root / ".tools").touch()
    done = provisioned.run("clearhold")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "You may not write to" in done.stderr


def test_lint_runs_every_linter_and_fails_when_one_does(provisioned: Checkout) -> None:
    assert provisioned.run("lint").returncode == 0
    (provisioned.root / ".venv" / "bin" / "ruff").write_text("#!/bin/sh\nexit 1\n")
    done = provisioned.run("lint")
    assert done.returncode == 1
    assert "mypy" in done.stdout
    assert "lint-imports" in done.stdout


def test_the_fetched_tool_is_pinned_by_version_and_hash() -> None:
    text = (REPOSITORY / "tools.txt").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    assert len(lines) == 1
    assert re.fullmatch(r"uv==[0-9.]+( +--hash=sha256:[0-9a-f]{64})+", lines[0].rstrip())


def test_the_scripts_may_be_executed() -> None:
    for script in ("run", ".ci/run"):
        assert os.access(REPOSITORY / script, os.X_OK)


@pytest.mark.parametrize(
    ("printed", "last"),
    [
        ("== 12 passed, 1 skipped in 3.41s ==", "12 passed, 1 skipped in 3.41s"),
        ("= 1 failed, 2 passed in 75.1s (0:01:15) =", "1 failed, 2 passed in 75.1s (0:01:15)"),
        ("== 3 errors in 0.50s ==", "3 errors in 0.50s"),
        ("no tests ran in 0.01s", "no tests ran in 0.01s"),
        ("INTERNALERROR", "no summary: the test runner did not come to its end"),
    ],
)
def test_continuous_integration_ends_with_the_summary(
    checkout: Checkout, printed: str, last: str
) -> None:
    (checkout.root / "run").write_text(f'#!/bin/sh\n[ "$1" = lint ] || echo "{printed}"\n')
    assert checkout.run(program=".ci/run").stdout.splitlines()[-1] == last


@pytest.mark.parametrize(
    ("tests", "lint", "good"), [(0, 0, True), (1, 0, False), (0, 1, False), (5, 1, False)]
)
def test_continuous_integration_fails_when_anything_failed(
    checkout: Checkout, tests: int, lint: int, *, good: bool
) -> None:
    (checkout.root / "run").write_text(
        f'#!/bin/sh\ncase $1 in test) echo "1 passed in 1.00s"; exit {tests} ;; *) exit {lint} ;; esac\n'
    )
    done = checkout.run(program=".ci/run")
    assert (done.returncode == 0) is good
    assert done.stdout.splitlines()[-1] == "1 passed in 1.00s"
