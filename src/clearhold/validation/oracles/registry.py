"""The oracles by name, and their self-tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from clearhold.kernel.errors import NotFoundError, UnavailableError
from clearhold.ports.sandbox import Job, Limits
from clearhold.validation.builder import Laboratory
from clearhold.validation.oracles import results, sanitizers
from clearhold.validation.oracles.canaries import CANARIES
from clearhold.validation.oracles.observation import Host, Observation, Oracle

_ALL: Final[tuple[Oracle, ...]] = (
    sanitizers.AddressSanitizer(),
    sanitizers.Assertion(),
    sanitizers.Leak(),
    sanitizers.StackExhaustion(),
    sanitizers.UndefinedBehaviour(),
    sanitizers.UninitialisedMemory(),
    results.Differential(),
    results.Hang(),
    results.Raised(),
    *CANARIES,
)
_ORACLES: Final[Mapping[str, Oracle]] = {each.name: each for each in _ALL}
_INTERPRETERS: Final[Mapping[Host, tuple[str, ...]]] = {
    "native": ("/bin/sh",),
    "python": ("/usr/bin/python3", "-s"),
    "node": ("/usr/bin/node",),
}
_SUFFIXES: Final[Mapping[Host, str]] = {"native": "sh", "python": "py", "node": "cjs"}


def oracle_names() -> tuple[str, ...]:
    """The names of all oracles."""
    return tuple(sorted(_ORACLES))


def oracle(name: str) -> Oracle:
    """The oracle of that name; `NotFoundError` names those there are."""
    if name not in _ORACLES:
        raise NotFoundError(
            f"There is no oracle {name!r}.", next_step=f"Use one of: {', '.join(oracle_names())}."
        )
    return _ORACLES[name]


def self_test(laboratory: Laboratory, name: str) -> tuple[Observation, Observation]:
    """What an oracle says of its violating and of its clean program, run in the sandbox now.

    The oracle is fit for use when the first is a violation and the second is clean. Raises
    `UnavailableError` when the sandbox lacks a command that the test needs.
    """
    judge = oracle(name)
    test = judge.self_test
    for command in (*test.needs, *(("node",) if test.host == "node" else ())):
        there = laboratory.run(Job(argv=("/bin/sh", "-c", 'command -v "$0"', command)))
        if there.exit_code != 0:
            raise UnavailableError(
                f"The oracle {name} cannot be tested: the sandbox finds no {command}.",
                next_step=f"Install {command}, or do without targets of this oracle.",
            )
    seen = []
    for program in (test.violating, test.clean):
        place = f"/in/program.{_SUFFIXES[test.host]}"
        job = Job(
            argv=(*_INTERPRETERS[test.host], place, "/in/proof"),
            files={place: program.encode(), "/in/proof": test.proof},
            env=judge.env(laboratory.toolchain(), test.host),
            limits=Limits(wall_s=5.0, memory_mb=1024),
        )
        outcome = laboratory.run(judge.prepare(job, test.host))
        seen.append(judge.observe(outcome, test.reference))
    return seen[0], seen[1]
