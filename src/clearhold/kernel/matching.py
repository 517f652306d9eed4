"""Is this version affected? Three answers: yes, no, and "cannot be told" with the reason.

What cannot be read is never taken for "not affected". Ranges follow OSV 1.7: half-open
`[introduced, fixed)`, or closed `[introduced, last_affected]`; "0" comes before every version.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from clearhold.kernel.errors import InvalidError
from clearhold.kernel.versions import Scheme, scheme_for


class Verdict(StrEnum):
    """What can be said of one version."""

    AFFECTED = "affected"
    NOT_AFFECTED = "not_affected"
    UNDETERMINED = "undetermined"


@dataclass(frozen=True, slots=True)
class Range:
    """Versions from `introduced` ("0": from the first) up to a bound; without one, all later ones.

    `fixed` is the first version outside, `last_affected` the last one inside; at most one is set.
    """

    introduced: str = "0"
    fixed: str | None = None
    last_affected: str | None = None

    @property
    def text(self) -> str:
        """The range in words, to be read after "lies"."""
        start = "from the first version" if self.introduced == "0" else f"from {self.introduced}"
        if self.fixed is not None:
            return f"{start} to before {self.fixed}"
        return f"{start} on" if self.last_affected is None else f"{start} to {self.last_affected}"


@dataclass(frozen=True, slots=True)
class Affected:
    """Which versions of one package are affected: those in a range and those listed.

    `type` is the package's purl type and decides the order of versions.
    """

    type: str
    ranges: tuple[Range, ...] = ()
    versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and, in one sentence, why."""

    verdict: Verdict
    reason: str


def judge(version: str, affected: Affected) -> Judgement:
    """Decide whether `version` is `affected`; never raises for what cannot be read."""
    if version in affected.versions:
        return Judgement(Verdict.AFFECTED, f"{version} is listed as affected.")
    if not affected.ranges and not affected.versions:
        return Judgement(Verdict.UNDETERMINED, "Neither ranges nor versions are stated.")
    try:
        scheme = scheme_for(affected.type)
        key = scheme.key(version)
    except InvalidError as problem:
        return Judgement(Verdict.UNDETERMINED, problem.message)
    answers = [_against_listed(version, key, listed, scheme) for listed in affected.versions]
    answers += [_against_range(version, key, stated, scheme) for stated in affected.ranges]
    for answer in answers:
        if answer is not None and answer.verdict is Verdict.AFFECTED:
            return answer
    if doubts := dict.fromkeys(answer.reason for answer in answers if answer is not None):
        return Judgement(Verdict.UNDETERMINED, " ".join(doubts))
    return Judgement(Verdict.NOT_AFFECTED, f"{version} is in no stated range and not listed.")


def _against_listed(version: str, key: bytes, listed: str, scheme: Scheme) -> Judgement | None:
    """What one listed version says of `version`; None when it is another one."""
    try:
        listed_key = scheme.key(listed)
    except InvalidError as problem:
        return Judgement(Verdict.UNDETERMINED, problem.message)
    if listed_key == key:
        return Judgement(Verdict.AFFECTED, f"{version} is the listed version {listed}.")
    public, plus, _ = version.partition("+")
    if scheme is scheme_for("pypi") and plus and scheme.key(public) == listed_key:
        reason = f"{version} is a local build of {listed}, which is listed as affected."
        return Judgement(Verdict.UNDETERMINED, reason)
    return None


def _against_range(version: str, key: bytes, stated: Range, scheme: Scheme) -> Judgement | None:
    """What one range says of `version`; None when it lies outside."""
    try:
        low, high = bounds(stated, scheme)
    except InvalidError as problem:
        return Judgement(Verdict.UNDETERMINED, problem.message)
    if key < low or (high is not None and key >= high):
        return None
    return Judgement(Verdict.AFFECTED, f"{version} lies {stated.text}.")


def bounds(stated: Range, scheme: Scheme) -> tuple[bytes, bytes | None]:
    """The range as a half-open interval of keys, None where it has no end.

    Raises `InvalidError` when a bound cannot be read, both kinds of end are given, or the range is
    empty, which nobody can mean.
    """
    if stated.fixed is not None and stated.last_affected is not None:
        raise InvalidError("A range states both a fixed and a last affected version.")
    low = b"" if stated.introduced == "0" else scheme.key(stated.introduced)
    if stated.fixed is not None:
        high = scheme.key(stated.fixed)
    elif stated.last_affected is not None:
        # no key is a proper prefix of another, so nothing lies between a key and this
        high = scheme.key(stated.last_affected) + b"\x00"
    else:
        return low, None
    if low >= high:
        raise InvalidError(f"The range {stated.text} is empty.")
    return low, high
