"""Drafting a recipe from a package and a public flaw: what can be told from its published source.

The draft names and pins the source of two sides, builds what it can, and has a driver that reads a
proof. What only a person can know, which function the proof goes to, is marked with `EDIT`.
"""

from clearhold.validation.drafting.debian import patches_of, version_before, words_of
from clearhold.validation.drafting.draft import MARK, Draft, Drafted, DraftedTarget, Parts, Pinned
from clearhold.validation.drafting.flaw import around_the_fix, oracle_for
from clearhold.validation.drafting.writing import write

__all__ = [
    "MARK",
    "Draft",
    "Drafted",
    "DraftedTarget",
    "Parts",
    "Pinned",
    "around_the_fix",
    "oracle_for",
    "patches_of",
    "version_before",
    "words_of",
    "write",
]
