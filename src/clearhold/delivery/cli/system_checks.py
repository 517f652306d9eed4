"""What the machine itself must provide before anything can be built, confined or fetched.

The standard library alone and nothing of this package: `./run` starts this file with the system's
own Python before a single dependency is installed, and `clearhold doctor` imports it afterwards.
Recipes run inside a sandbox that shows `/usr` and the interpreter `/usr/bin/python3`, so tools and
headers count only when they lie there. Package names are Debian's.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_USR = Path("/usr")
SOFT_TOKEN = _USR / "lib" / "softhsm" / "libsofthsm2.so"
_ASK_TIMEOUT_S = 10
_REFUSED = 500
_OLDEST_GIT = (2, 37)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing the machine must have: whether it does, what was seen, and what would help.

    `package` is the Debian package that brings it, empty when no package would.
    """

    name: str
    passed: bool
    detail: str
    next_step: str = ""
    package: str = ""


def base_checks() -> tuple[Check, ...]:
    """What every command needs: virtual environments, and the library that filters system calls."""
    return (
        _check("virtual environments", importlib.util.find_spec("ensurepip"), "python3-venv"),
        _check("system call filter", _loads("libseccomp.so.2"), "libseccomp2"),
    )


def laboratory_checks(path: str | None = None) -> tuple[Check, ...]:
    """What building, fuzzing and confining need: compilers, LLVM's tools, `patch` and bubblewrap.

    `path` is a search path in the form of `PATH`, which is the default.
    """
    inside = _below_usr(os.environ.get("PATH", "") if path is None else path)

    def tool(name: str) -> str | None:
        return shutil.which(name, path=inside)

    clang = tool("clang")
    return (
        _check("C compiler", tool("gcc"), "gcc"),
        _check("C++ compiler", tool("g++"), "g++"),
        _check("C headers", _file(_USR / "include" / "stdio.h"), "libc6-dev"),
        _check("Python headers", _python_header(), "python3-dev"),
        _check("fuzzing compiler", clang, "clang"),
        _check("fuzzing runtime", _fuzzing_runtime(clang), "libclang-rt-dev"),
        _check("line coverage", tool("llvm-profdata"), "llvm"),
        _check("patch", tool("patch"), "patch"),
        _check("bubblewrap", tool("bwrap"), "bubblewrap"),
    )


def optional_checks(path: str | None = None) -> tuple[Check, ...]:
    """What some searches need and nothing else does: an engine, and following commits; `path` as for the laboratory."""
    inside = _below_usr(os.environ.get("PATH", "") if path is None else path)
    there = all(shutil.which(each, path=inside) for each in ("afl-fuzz", "afl-clang-fast"))
    return (
        _check("AFL++", shutil.which("afl-fuzz", path=inside) if there else None, "afl++"),
        _check("Git", _git(path), "git"),
    )


def rehearsal_checks() -> tuple[Check, ...]:
    """What tests and benchmarks need besides.

    A token in software, a browser for the pages, and what some recipes and engines work with.
    """
    return (
        *optional_checks(),
        _check("JavaScript", _file(_USR / "bin" / "node"), "nodejs"),
        _check("parser generator", shutil.which("bison"), "bison"),
        _check("scanner generator", shutil.which("flex"), "flex"),
        _check("token in software", _file(SOFT_TOKEN), "softhsm2"),
        _check("browser", shutil.which("chromium"), "chromium"),
    )


def missing_packages(checks: Iterable[Check]) -> tuple[str, ...]:
    """The packages that would mend the failed checks, each once, in order."""
    return tuple(dict.fromkeys(each.package for each in checks if not each.passed and each.package))


def disk_space(directory: Path, *, needed_mb: int) -> Check:
    """Whether the disk under `directory`, which need not exist yet, has `needed_mb` megabytes free."""
    place = directory.absolute()
    while not place.exists():
        place = place.parent
    free_mb = shutil.disk_usage(place).free // 2**20
    return Check(
        "disk space",
        free_mb >= needed_mb,
        f"{free_mb} MB are free in {place}, {needed_mb} MB are needed",
        "" if free_mb >= needed_mb else f"free {needed_mb - free_mb} MB on that disk",
    )


def package_index(address: str, *, timeout_s: float = _ASK_TIMEOUT_S) -> Check:
    """Whether the package index at `address` answers, through the proxy that is configured.

    Credentials in the address appear in no text.
    """
    name = "package index"
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        # urllib takes no credentials from an address; the bare host answers the question as well.
        origin = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
        known = parts.scheme in {"http", "https"} and host != "" and parts.port != 0
    except ValueError:
        known = False
    if not known:
        return Check(
            name, False, "its address is not a web address", "check `python -m pip config list`"
        )
    request = urllib.request.Request(  # noqa: S310  # the scheme was checked above
        origin.geturl(), method="HEAD"
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_s):  # noqa: S310  # as above
            return Check(name, True, f"{host} answers")
    except urllib.error.HTTPError as answer:
        answer.close()
        if answer.code < _REFUSED:
            return Check(name, True, f"{host} answers")
        reason = f"it answers with status {answer.code}"
    except (OSError, ValueError) as problem:
        reason = str(getattr(problem, "reason", problem))[:200]
    return Check(
        name,
        False,
        f"{host} cannot be reached ({reason})",
        "check the network and the proxy settings; what is cached already keeps working",
    )


def _check(name: str, found: object, package: str) -> Check:
    if found:
        return Check(name, True, str(found) if isinstance(found, str | Path) else "present")
    return Check(name, False, "missing", f"install {package} (apt-get install {package})", package)


def _below_usr(path: str) -> str:
    """The directories of a search path that the sandbox shows too."""
    places = [place for place in path.split(os.pathsep) if place]
    return os.pathsep.join(each for each in places if Path(each).resolve().is_relative_to(_USR))


def _file(path: Path) -> Path | None:
    return path if path.is_file() else None


def _python_header() -> Path | None:
    interpreter = (_USR / "bin" / "python3").resolve().name
    return _file(_USR / "include" / interpreter / "Python.h")


def _fuzzing_runtime(clang: str | None) -> str | None:
    """The library behind `-fsanitize=fuzzer`, whose place and name differ by clang's version."""
    if clang is None:
        return None
    for name in (f"libclang_rt.fuzzer-{platform.machine()}.a", "libclang_rt.fuzzer.a"):
        answer = _ask(clang, f"-print-file-name={name}")
        if answer.startswith("/") and Path(answer).is_file():
            return answer
    return None


def _git(path: str | None) -> str | None:
    """The git that can be asked for commits: one that can be told a host's address, from 2.37 on."""
    found = shutil.which("git", path=path)
    release = re.match(r"git version (\d+)\.(\d+)", _ask(found, "--version") if found else "")
    return found if release and (int(release[1]), int(release[2])) >= _OLDEST_GIT else None


def _ask(*command: str) -> str:
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=_ASK_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip()


def _loads(library: str) -> str | None:
    try:
        ctypes.CDLL(library)
    except OSError:
        return None
    return library


def main(arguments: list[str]) -> int:
    """Answer `./run`: an extent prints the packages it lacks, `space DIR MB` tests the disk."""
    match arguments:
        case ["base" | "all" | "test" as extent]:
            checks: list[Callable[[], tuple[Check, ...]]] = [base_checks]
            if extent != "base":
                checks.append(laboratory_checks)
            if extent == "test":
                checks.append(rehearsal_checks)
            found = [check for each in checks for check in each()]
            sys.stdout.write(" ".join(missing_packages(found)) + "\n")
            return 0
        case ["space", directory, megabytes] if megabytes.isdecimal():
            space = disk_space(Path(directory), needed_mb=int(megabytes))
            if not space.passed:
                sys.stdout.write(f"{space.detail}: {space.next_step}\n")
            return 0 if space.passed else 1
        case _:
            sys.stderr.write(
                "usage: system_checks.py base | all | test | space DIRECTORY MEGABYTES\n"
            )
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
