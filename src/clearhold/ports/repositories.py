"""What moves in a Git repository: names of branches and tags, and which files differ."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Protocol

REF: Final = re.compile(r"refs/(?:heads|tags)/(?!.*\.\.)[A-Za-z0-9*][A-Za-z0-9*._+/-]{0,199}")
"""How branches or tags are named: in full, with `*` for any characters but a slash."""
MOST_HEADS: Final = 64
"""Branches or tags that one pattern may name."""
MOST_CHANGED: Final = 2000
"""Changed files that are told of."""


class Repositories(Protocol):
    """Asks Git repositories by their address; nothing of them is executed or checked out."""

    def heads(self, address: str, pattern: str) -> Mapping[str, str]:
        """The full names of the commits that refs are at, by the refs that `pattern` names.

        A pattern is as `REF` says.
        Raises `InvalidError` for no pattern or address, `TooLargeError` for more than `MOST_HEADS`
        refs, `UnavailableError` when the repository gives no answer.
        """
        ...

    def changed(self, address: str, before: str, after: str) -> tuple[str, ...]:
        """The paths of files that are new in the commit `after` or not as in `before`, in order.

        At most `MOST_CHANGED`. Raises as `heads` does.
        """
        ...
