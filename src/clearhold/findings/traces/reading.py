"""Which tool printed a trace, tried in an order in which the marks of one are none of another's."""

from __future__ import annotations

from typing import Final

from clearhold.findings.traces import golang, java, javascript, python, rust, sanitizers
from clearhold.findings.traces.model import Trace, lines_of

_READERS: Final = (rust.read, golang.read, python.read, java.read, sanitizers.read, javascript.read)


def read(text: str) -> Trace | None:
    """The first trace in a text, whatever else stands around it; None when there is none.

    Never raises; looks at a bounded number of lines of bounded length.
    """
    lines = lines_of(text)
    for reader in _READERS:
        trace = reader(lines)
        if trace is not None:
            return trace
    return None
