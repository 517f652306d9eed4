"""What may be asked of the desk of fixes: how large, how long, how many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.validation.diff import LARGEST_DIFF

LONGEST_NOTE: Final = 20_000
MOST_VERSIONS: Final = 24
_LONGEST_VERSION: Final = 100


def check(diff: bytes, note: str, key: str) -> None:
    """Raise `InvalidError` or `TooLargeError` for a candidate that cannot be taken."""
    if not diff.strip():
        raise InvalidError("The diff is empty.", next_step="Send a unified diff.")
    if len(diff) > LARGEST_DIFF:
        raise TooLargeError(
            f"The diff has {len(diff)} bytes; at most {LARGEST_DIFF} are taken.",
            next_step="Send the change to the flaw alone.",
        )
    if len(note) > LONGEST_NOTE:
        raise TooLargeError(
            f"A note has at most {LONGEST_NOTE} characters.", next_step="Shorten it."
        )
    if not 1 <= len(key) <= 200 or not key.isprintable():
        raise InvalidError(
            "An idempotency key is 1 to 200 printable characters.",
            next_step="Send a fresh UUID in the header Idempotency-Key.",
        )


def check_versions(versions: Sequence[str]) -> None:
    """Raise `InvalidError` for versions that cannot be ones, or too many."""
    good = all(0 < len(each) <= _LONGEST_VERSION and each.isprintable() for each in versions)
    if len(versions) > MOST_VERSIONS or not good:
        raise InvalidError(
            f"At most {MOST_VERSIONS} versions are named at once, each of 1 to {_LONGEST_VERSION}"
            " printable characters.",
            next_step="Name those that are supported.",
        )
