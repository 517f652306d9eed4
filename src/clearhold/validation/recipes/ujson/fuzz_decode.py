"""Fuzzes target `decode`: a value that ujson reads and Python's json reads as another one."""

from __future__ import annotations

import decode
import decode_reference


def test_one_input(data: bytes) -> None:
    """Fail where both accept a text and make something else of it; ujson may refuse more."""
    theirs, reference = decode.run(data), decode_reference.run(data)
    if "refused" not in {theirs, reference} and theirs != reference:
        raise AssertionError(f"{theirs} is not {reference}")
