"""Programs of a native package as drivers: which there are, and the words they are called with."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from clearhold.kernel.errors import InvalidError
from clearhold.validation.drafting.draft import quoted
from clearhold.validation.drafting.native_drivers import Driver

RUNNER: Final = "program.py"
PROOF: Final = "/in/proof"
_MOST: Final = 8
_PLACEHOLDER: Final = "@@"
RUNNING: Final = """\
# Gives a proof to a program, on its standard input too, and takes its refusal for a good end.
import os
import signal
import sys

proof, *words = sys.argv[1:]
if not os.access(".", os.W_OK):
    os.chdir("/tmp")
pid = os.fork()
if pid == 0:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores
        signal.signal(number, signal.SIG_DFL)
    os.dup2(os.open(proof, os.O_RDONLY), 0)
    try:
        os.execv(words[0], words)
    except OSError as problem:
        print(problem, file=sys.stderr, flush=True)
        os._exit(127)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
if code < 0:  # a death by a signal is passed on, and an exit code of 128 and more is none
    if -code not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
# So is what a sanitizer ends with, and what never began.
sys.exit(code if code in (77, 126, 127) else 0)
"""


def programs(name: str, sources: Sequence[str], tree: Path, words: str) -> list[Driver]:
    """A driver for each way of calling a program, those first that `words` name or that are `name`.

    `sources` have a `main`, by path in the tree; manual pages tell of programs too.
    """
    of_source = {Path(each).stem: each for each in reversed(sources)}
    pages = [each.stem for each in sorted(tree.rglob("*.[18]")) if each.is_file()]
    known = [*of_source, *(each for each in pages if re.fullmatch(r"[\w.+-]+", each))]

    def order(program: str) -> tuple[bool, bool, str]:
        named = re.search(rf"(?<![\w-]){re.escape(program)}(?![\w-])", words)
        return not named, program != name.removeprefix("lib"), program

    return [
        driver
        for program in sorted(dict.fromkeys(known), key=order)[:_MOST]
        for driver in _called(program, of_source.get(program, ""), words)
    ]


def as_told(command: str, sources: Sequence[str]) -> list[Driver]:
    """The driver for a command line of a program of the package; `@@` in it stands for the proof.

    Raises `InvalidError` when it cannot be split into words, or names no program.
    """
    try:
        program, *words = shlex.split(command)
    except ValueError as problem:
        raise InvalidError(
            "The command line cannot be read.",
            next_step="Write it as for a shell, with @@ for the proof: 'unzip -t @@'.",
        ) from problem
    given = [PROOF if each == _PLACEHOLDER else each for each in words]
    source = next((each for each in sources if Path(each).stem == program), "")
    return [_driver(Path(program).name, source, given, 0)]


def _called(program: str, source: str, words: str) -> Iterator[Driver]:
    """With the proof's name, with nothing but its standard input, and with options that `words` show."""
    shown = re.findall(
        rf"(?<![\w/-]){re.escape(program)}((?:[ \t]+-{{1,2}}[A-Za-z][\w-]*(?:[= ][\w.]+)?)+)", words
    )
    options = [shlex.split(each) for each in dict.fromkeys(shown)][:3]
    ways = [*([*each, PROOF] for each in options), [PROOF], []]
    for number, given in enumerate(ways):
        yield _driver(program, source, given, number)


def _driver(program: str, source: str, given: Sequence[str], number: int) -> Driver:
    plain = re.sub(r"[^a-z0-9]+", "-", program.lower()).strip("-") or "program"
    built = f"run-{program}"
    line = " ".join("PROOF" if each == PROOF else each for each in (program, *given))
    told = line if PROOF in given else f"{line} <PROOF"
    return Driver(
        f"run-{plain}-{number}" if number else f"run-{plain}",
        f"the proof is given to the program: {told}",
        (f'"$SRC"/{quoted(source)}',) if source else (),
        {RUNNER: RUNNING.encode()},
        program=program,
        argv=(
            "/usr/bin/python3",
            "-I",
            "-S",
            f"/recipe/{RUNNER}",
            PROOF,
            f"/build/{built}",
            *given,
        ),
    )
