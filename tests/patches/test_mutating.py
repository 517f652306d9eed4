"""Inputs are changed in small ways, the same for the same seed."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from clearhold.patches.mutating import LARGEST, mutants


@given(st.integers(0, 2**32), st.lists(st.binary(max_size=60), min_size=1, max_size=4))
def test_mutants_are_new_different_bounded_and_repeatable(seed: int, given_: list[bytes]) -> None:
    made = list(mutants(seed, given_, most=12))
    assert made == list(mutants(seed, given_, most=12))
    assert len(set(made)) == len(made) <= 12
    assert not set(made) & set(given_)
    assert all(len(each) <= LARGEST for each in made)


def test_what_is_json_mostly_stays_json() -> None:
    made = list(mutants(1, [b'{"a": {"b": [1, "text"]}}'], most=100))
    readable = 0
    for each in made:
        try:
            json.loads(each)
        except ValueError:
            continue
        readable += 1
    assert readable > len(made) // 2
    assert any(b"__proto__" in each for each in made)
