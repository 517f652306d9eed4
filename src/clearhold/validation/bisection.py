"""Which of ordered releases have a flaw, asked release by release, with some that cannot tell.

A bisection of our own rather than a version control system's, whose hooks and configuration would
run. Few releases are all asked, because a flaw can come, go and come again; of many, those around a
release known to have it are searched by halves, which is right when it came once and went once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from clearhold.kernel.errors import InvalidError

CHEAP: Final = 16
"""So many releases are all asked."""


class Answer(StrEnum):
    """What one release says: it has the flaw, it has not, or it cannot be asked."""

    BAD = "bad"
    GOOD = "good"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Releases in order that have the flaw, from `first_bad` to before `first_fixed`.

    `first_fixed` is None while no later release is known to be free of it. `unsure_before` and
    `unsure_after` are the releases beside the boundaries that could not be asked: the flaw may have
    come, or gone, with any of them.
    """

    first_bad: str
    last_bad: str
    first_fixed: str | None
    unsure_before: tuple[str, ...] = ()
    unsure_after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Affected:
    """What was found: stretches in order, every answer by release, and whether all were asked."""

    stretches: tuple[Stretch, ...]
    answers: dict[str, Answer]
    scanned: bool


def search(
    releases: Sequence[str],
    ask: Callable[[str], Answer],
    *,
    known_bad: str = "",
    cheap: int = CHEAP,
) -> Affected:
    """Which of `releases`, oldest first, have the flaw.

    Up to `cheap` releases are all asked. Of more, only those around `known_bad` are, and only the
    stretch that holds it is found. Each release is asked once at most. Raises `InvalidError` for
    repeated releases, and for many without a known bad one, or with one that is not bad.
    """
    if len(set(releases)) != len(releases):
        raise InvalidError("A release is named twice.", next_step="Name each release once.")
    answers: dict[str, Answer] = {}

    def asked(at: int) -> Answer:
        release = releases[at]
        if release not in answers:
            answers[release] = ask(release)
        return answers[release]

    if len(releases) <= cheap:
        for at in range(len(releases)):
            asked(at)
        return Affected(_stretches(releases, answers), answers, scanned=True)
    if known_bad not in releases:
        raise InvalidError(
            "Among so many releases, one must be known to have the flaw.",
            next_step="Name the release that the proof was reported for.",
        )
    start = releases.index(known_bad)
    if asked(start) is not Answer.BAD:
        raise InvalidError(
            f"The proof does not show the flaw on {known_bad}.",
            next_step="Name a release on which it does.",
        )
    first = _boundary(start, -1, asked)
    last = _boundary(start, len(releases), asked)
    clean = last.beyond < len(releases)
    stretch = Stretch(
        first_bad=releases[first.bad],
        last_bad=releases[last.bad],
        first_fixed=releases[last.beyond] if clean else None,
        unsure_before=tuple(releases[first.beyond + 1 : first.bad]),
        unsure_after=tuple(releases[last.bad + 1 : last.beyond]),
    )
    return Affected((stretch,), answers, scanned=False)


@dataclass(frozen=True, slots=True)
class _Boundary:
    """The outermost bad release, and the nearest good one beyond it or the end of the list."""

    bad: int
    beyond: int


def _boundary(bad: int, beyond: int, asked: Callable[[int], Answer]) -> _Boundary:
    """Search by halves between a bad release and an end, on either side of it.

    A release that cannot be asked is passed over for the nearest one between the two that can.
    """
    while abs(beyond - bad) > 1:
        low, high = sorted((bad, beyond))
        middle = (low + high) // 2
        between = sorted(range(low + 1, high), key=lambda at: (abs(at - middle), at))
        told = next((at for at in between if asked(at) is not Answer.SKIP), None)
        if told is None:
            break
        if asked(told) is Answer.BAD:
            bad = told
        else:
            beyond = told
    return _Boundary(bad, beyond)


def _stretches(releases: Sequence[str], answers: dict[str, Answer]) -> tuple[Stretch, ...]:
    """The stretches when every release has been asked."""
    stretches: list[Stretch] = []
    told = [at for at, release in enumerate(releases) if answers[release] is not Answer.SKIP]
    run: list[int] = []
    before = -1
    for at in told:
        if answers[releases[at]] is Answer.BAD:
            run.append(at)
            continue
        if run:
            stretches.append(_stretch(releases, run, before=before, after=at))
            run = []
        before = at
    if run:
        stretches.append(_stretch(releases, run, before=before, after=len(releases)))
    return tuple(stretches)


def _stretch(releases: Sequence[str], run: Sequence[int], *, before: int, after: int) -> Stretch:
    return Stretch(
        first_bad=releases[run[0]],
        last_bad=releases[run[-1]],
        first_fixed=releases[after] if after < len(releases) else None,
        unsure_before=tuple(releases[before + 1 : run[0]]),
        unsure_after=tuple(releases[run[-1] + 1 : after]),
    )
