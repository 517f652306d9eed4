"""Target `lex`: text split into tokens by one of Pygments' lexers.

The proof is UTF-8: its first line is a lexer's alias (sml, python, …), all that follows the text.
A proof without a known alias, or of more than 64 KiB, ends with exit code 65.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

UNUSABLE_PROOF = 65
MAXIMUM_BYTES = 64 * 1024
SHOWN = 500


def read(proof: bytes) -> tuple[str, str]:
    """The lexer's alias and the text; ValueError for a proof of another shape."""
    if len(proof) > MAXIMUM_BYTES:
        raise ValueError("the text is too long")
    alias, _, text = proof.decode("utf-8").partition("\n")
    return alias.strip(), text


def run(proof: bytes) -> list[str]:
    """The first tokens that hold some of the text, and how many there are.

    Lexers also make empty ones, which nobody sees. Nothing is printed before the end: a text may
    have tokens for ever.
    """
    alias, text = read(proof)
    count = 0
    shown = []
    for kind, part in get_lexer_by_name(alias).get_tokens(text):
        count += bool(part)
        if part and count <= SHOWN:
            shown.append(f"{kind} {part!r}")
    return [*shown, str(count)]


if __name__ == "__main__":
    content = Path(sys.argv[1]).read_bytes()
    try:
        get_lexer_by_name(read(content)[0])
    except (ValueError, ClassNotFound) as error:
        print(f"unusable proof: {error}", file=sys.stderr)
        sys.exit(UNUSABLE_PROOF)
    print("\n".join(run(content)))
