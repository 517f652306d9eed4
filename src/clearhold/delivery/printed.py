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


def escaped(content: bytes) -> str:
    """Bytes that a foreign program printed, as text that can be told apart from any other bytes.

    Line breaks and tabs stay; every other control, format or unassigned character, every byte that
    is no UTF-8, and the backslash are written as an escape.
    """
    text = content.decode("utf-8", "surrogateescape")
    return "".join(_escape(char) for char in text)


def _escape(char: str) -> str:
    if char in "\n\t" or (unicodedata.category(char)[0] != "C" and char != "\\"):
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()
