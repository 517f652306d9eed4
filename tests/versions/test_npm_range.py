"""Ranges of npm versions, by the cases that node-semver documents."""

from __future__ import annotations

import pytest

from clearhold.kernel.errors import InvalidError
from clearhold.kernel.versions.npm_range import contains, newest

INSIDE = {
    "^1.2.3": ("1.2.3", "1.9.0"),
    "^0.2.3": ("0.2.9",),
    "^0.0": ("0.0.9",),
    "^0.x": ("0.9.1",),
    "~1.2.3": ("1.2.9",),
    "~> 1.2.3": ("1.2.4",),
    "~1": ("1.9.9",),
    "1.x": ("1.5.0",),
    "1.2": ("1.2.7",),
    "*": ("3.0.0",),
    "": ("3.0.0",),
    ">=1.0.0 <2.0.0": ("1.5.0",),
    "1.2.3 - 2.3": ("1.2.3", "2.3.9"),
    "^1.2.3-beta.2": ("1.2.3-beta.4", "1.2.3"),
    "^1 || ^2": ("1.0.0", "2.5.0"),
    ">1.2": ("1.3.0",),
    ">= 1.2": ("1.2.0",),
    "<=1.2": ("1.2.9",),
    "<1.2": ("1.1.9",),
    "v1.2.3": ("1.2.3",),
}
OUTSIDE = {
    "^1.2.3": ("1.2.2", "2.0.0", "2.0.0-rc.1"),
    "^0.2.3": ("0.3.0",),
    "^0.0.3": ("0.0.4",),
    "^0.0": ("0.1.0",),
    "~1.2.3": ("1.3.0",),
    "1.2": ("1.3.0",),
    "*": ("3.0.0-beta",),
    ">=1.0.0 <2.0.0": ("2.0.0", "1.5.0-rc"),
    "1.2.3 - 2.3": ("2.4.0",),
    "^1.2.3-beta.2": ("1.2.3-alpha", "1.2.4-beta.4"),
    ">1.2": ("1.2.9",),
    "<1.2": ("1.2.0",),
    "<2.0.0": ("2.0.0-beta",),
    ">*": ("1.0.0",),
}


@pytest.mark.parametrize(
    ("stated", "version"), [(name, each) for name, some in INSIDE.items() for each in some]
)
def test_what_lies_in_a_range(stated: str, version: str) -> None:
    assert contains(stated, version)


@pytest.mark.parametrize(
    ("stated", "version"), [(name, each) for name, some in OUTSIDE.items() for each in some]
)
def test_what_lies_outside(stated: str, version: str) -> None:
    assert not contains(stated, version)


def test_the_newest_of_a_range_is_chosen_and_no_range_is_refused() -> None:
    assert newest(["1.10.0", "1.9.0", "2.0.0"], "^1") == "1.10.0"
    assert newest(["2.0.0"], "^1") is None
    for stated in ("git+https://example.org/x.git", "latest", ">>1", "1" * 3000):
        with pytest.raises(InvalidError):
            contains(stated, "1.0.0")
    assert not contains("*", "no version")
