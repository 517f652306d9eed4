"""Debian versions: deb-version(7), `[epoch:]upstream[-revision]`, ordered as dpkg does.

A part is a run of pairs (non-digits, number). Among non-digits a tilde sorts before the end of the
part, the end before letters, letters before everything else.
"""

from __future__ import annotations

import re

from clearhold.kernel.versions.scheme import Scheme, number, unreadable

_NAME = "Debian"
_SHAPE = re.compile(r"(?:(?P<epoch>[0-9]+):)?(?P<rest>[A-Za-z0-9.+:~-]+)")
_PAIR = re.compile(r"([^0-9]*)([0-9]*)")
_TILDE, _END = 0x01, 0x02


def _encode(version: str) -> bytes:
    shape = _SHAPE.fullmatch(version.strip(" "))
    if shape is None:
        raise unreadable(version, _NAME)
    upstream, hyphen, revision = shape["rest"].rpartition("-")
    if not hyphen:
        upstream, revision = shape["rest"], ""
    elif not revision:
        raise unreadable(version, _NAME)
    if not upstream or not upstream[0].isdigit() or (":" in upstream and shape["epoch"] is None):
        raise unreadable(version, _NAME)
    if ":" in revision or int(shape["epoch"] or "0") > 0x7FFF_FFFF:
        raise unreadable(version, _NAME)
    return b"".join(
        (
            number(shape["epoch"] or "0", version=version, scheme=_NAME),
            _part(upstream, version),
            _part(revision, version),
        )
    )


def _part(part: str, version: str) -> bytes:
    key = bytearray()
    for match in _PAIR.finditer(part):
        # the final empty match says "end"; an empty part is the pair ("", 0), as dpkg reads it
        if match.group() or not part:
            key += bytes(map(_weight, match[1]))
            key.append(_END)
            key += number(match[2], version=version, scheme=_NAME)
    key.append(_END)
    return bytes(key)


def _weight(character: str) -> int:
    if character == "~":
        return _TILDE
    return ord(character) if character.isalpha() else ord(character) + 0x80


SCHEME = Scheme(_NAME, _encode)
