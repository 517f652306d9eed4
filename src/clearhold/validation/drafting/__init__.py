"""Drafting a recipe from a package and a public flaw: what can be told from its published source.

The draft names and pins the source of two sides, builds what it can, and has a driver that reads a
proof. With a proof, what it goes to is found by trying; without one, what only a person can know is
marked with `EDIT`.
"""

from clearhold.validation.drafting.debian import (
    around_the_entry,
    entries_of,
    patches_of,
    place_of,
    version_before,
    words_of,
)
from clearhold.validation.drafting.draft import (
    FLAVOURS,
    MARK,
    Draft,
    Drafted,
    DraftedTarget,
    Fuzzed,
    Parts,
    Pinned,
    text_of,
)
from clearhold.validation.drafting.flaw import around_the_fix, fixed_by_changelog, oracle_for
from clearhold.validation.drafting.writing import write

__all__ = [
    "FLAVOURS",
    "MARK",
    "Draft",
    "Drafted",
    "DraftedTarget",
    "Fuzzed",
    "Parts",
    "Pinned",
    "around_the_entry",
    "around_the_fix",
    "entries_of",
    "fixed_by_changelog",
    "oracle_for",
    "patches_of",
    "place_of",
    "text_of",
    "version_before",
    "words_of",
    "write",
]
