"""Foreign text made harmless for whoever reads it: a person's terminal or a model's context."""

from __future__ import annotations

import unicodedata


def printable(text: object) -> str:
    """`text` without control, format and unassigned characters, each replaced visibly.

    Escapes could forge a terminal, direction changes a sentence, and invisible characters could
    carry words that a model reads and no person sees. Line breaks stay: whoever shows foreign text
    sees to it that its lines do not pass as theirs.
    """
    return "".join(
        char
        if char in "\n\t" or unicodedata.category(char)[0] != "C"
        else "\N{REPLACEMENT CHARACTER}"
        for char in str(text)
    )
