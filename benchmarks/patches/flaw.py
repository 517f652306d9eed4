"""Candidate fixes of public flaws by what they are: real ones, and six ways to be none.

A fix of its own project is the difference between the recipe's two sides, or Debian's patch: it is
fetched with the sources and not part of this. Pygments' own fix of CVE-2021-20270 ends the loop and
has the lexer take all that follows a declaration of an exception for names of classes, which makes
it behaviour-changing. All other changes are ours, written for this
benchmark; most are put on top of a real one. What a candidate is stays here and is not told to the
judge.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from clearhold.validation.known_proofs import PROOFS

Edit = tuple[str, str, str]
"""A path, a text that stands once in it, and what takes its place."""

KINDS: Final = (
    "accepted",
    "no_op",
    "symptom_only",
    "over_broad",
    "test_breaking",
    "behaviour_changing",
    "not_shown",
)


@dataclass(frozen=True, slots=True)
class Flaw:
    """A public flaw and candidate fixes of it.

    `upstream` are the files whose difference between the sides is the real fix, or empty: then
    `fix` is one of ours with the same effect. `debian` is a patch of Debian's to be judged as well.
    The edits of `breaking`, `changing` and `beside` are made on top of the fix; those last change
    what no proof, benign input or test runs. What the project's own fix is, `upstream_is` tells.
    `second` is a further proof.
    """

    cve: str
    idle: tuple[Edit, ...]
    hiding: tuple[Edit, ...]
    broad: tuple[Edit, ...]
    breaking: tuple[Edit, ...]
    changing: tuple[Edit, ...]
    beside: tuple[Edit, ...] = ()
    upstream: tuple[str, ...] = ()
    upstream_is: str = "accepted"
    fix: tuple[Edit, ...] = ()
    debian: str = ""
    second: bytes = field(default=b"", repr=False)

    @property
    def recipe(self) -> str:
        """The recipe's name."""
        return next(each.recipe for each in PROOFS if each.cve == self.cve)

    @property
    def proofs(self) -> tuple[tuple[str, bytes], ...]:
        """Target and input of each proof of the case."""
        first = next(each for each in PROOFS if each.cve == self.cve)
        more = ((first.target, self.second),) if self.second else ()
        return ((first.target, first.content), *more)
