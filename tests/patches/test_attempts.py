"""A proof that a busy machine cannot measure is measured again, and is never said not to work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from clearhold.kernel.errors import UnavailableError
from clearhold.patches import attempts
from clearhold.patches.attempts import Attempt, working
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import load

PROOF = Attempt("name", b"proof")
Tried = Callable[..., tuple[tuple[Attempt, ...], int]]


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> Tried:
    """Asks whether the proof works while its runs come out like this, and how often it was run."""

    def ask(kinds: Sequence[RunKind], *, tries: int) -> tuple[tuple[Attempt, ...], int]:
        left = list(kinds)

        def run(_lab: Any, _recipe: Any, given: Sequence[Attempt], _build: Any) -> Any:
            return tuple((SimpleNamespace(kind=left.pop(0), signature=("s",)),) for _ in given)

        monkeypatch.setattr(attempts, "run_attempts", run)
        found = working(None, load("wheel"), [PROOF], None, tries=tries)  # type: ignore[arg-type]
        return found, len(kinds) - len(left)

    return ask


@pytest.mark.parametrize(
    ("kinds", "works", "runs"),
    [
        ([RunKind.VIOLATION], True, 1),
        ([RunKind.CLEAN], False, 1),
        ([RunKind.INCONCLUSIVE, RunKind.VIOLATION], True, 2),
        ([RunKind.RESOURCE_LIMIT, RunKind.INCONCLUSIVE, RunKind.CLEAN], False, 3),
    ],
)
def test_an_unclear_measurement_is_taken_again(
    tried: Tried, kinds: list[RunKind], *, works: bool, runs: int
) -> None:
    found, ran = tried(kinds, tries=4)
    assert (bool(found), ran) == (works, runs)
    assert all(each.signature == ("s",) for each in found)


def test_what_stays_unclear_is_this_machines_failure_alone(tried: Tried) -> None:
    with pytest.raises(UnavailableError):
        tried([RunKind.INCONCLUSIVE] * 4, tries=4)
    assert tried([RunKind.INCONCLUSIVE], tries=1) == ((), 1)
