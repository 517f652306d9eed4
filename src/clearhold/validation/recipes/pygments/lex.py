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


def read(proof: bytes) -> tuple[str, str]:
    """The lexer's alias and the text; ValueError for a proof of another shape."""
    if len(proof) > MAXIMUM_BYTES:
        raise ValueError("the text is too long")
    alias, _, text = proof.decode("utf-8").partition("\n")
    return alias.strip(), text


def run(proof: bytes) -> int:
    """How many tokens the text has."""
    alias, text = read(proof)
    return sum(1 for _ in get_lexer_by_name(alias).get_tokens(text))


if __name__ == "__main__":
    try:
        print(run(Path(sys.argv[1]).read_bytes()))
    except (ValueError, ClassNotFound) as error:
        print(f"unusable proof: {error}", file=sys.stderr)
        sys.exit(UNUSABLE_PROOF)
