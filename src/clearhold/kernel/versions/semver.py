"""Semantic Versioning 2.0.0 section 11, read leniently as registries and C projects write it.

Beyond the standard, a leading `v`, any count of numbers (1.2 equals 1.2.0) and leading zeros are
taken. Build metadata does not take part in the order.
"""

from __future__ import annotations

import re

from clearhold.kernel.versions.scheme import Scheme, number, unreadable

_NAME = "semantic"
_SHAPE = re.compile(
    r"[vV]?(?P<core>[0-9]+(?:\.[0-9]+)*)"
    r"(?:-(?P<pre>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
    r"(?:\+[0-9A-Za-z.-]+)?",
    re.ASCII,
)
_END, _PRE_RELEASE, _RELEASE = b"\x00", b"\x01", b"\x02"
_NUMERIC, _TEXTUAL = b"\x01", b"\x02"


def _encode(version: str) -> bytes:
    shape = _SHAPE.fullmatch(version.strip(" "))
    if shape is None:
        raise unreadable(version, _NAME)
    core = shape["core"].split(".")
    while core and not core[-1].strip("0"):
        core.pop()
    parts = [number(digits, version=version, scheme=_NAME) for digits in core]
    parts.append(_END)
    if shape["pre"] is None:
        parts.append(_RELEASE)
        return b"".join(parts)
    parts.append(_PRE_RELEASE)
    for identifier in shape["pre"].split("."):
        if identifier.isdigit():
            parts += [_NUMERIC, number(identifier, version=version, scheme=_NAME)]
        else:
            parts += [_TEXTUAL, identifier.encode("ascii"), _END]
    parts.append(_END)
    return b"".join(parts)


SCHEME = Scheme(_NAME, _encode)
