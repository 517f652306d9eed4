"""Ordinary inputs are made of benign ones, the same each time, and a sort that is refused is told."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.patches.ordinary import LARGEST, MOST_OF_A_SORT, SORTS, made_from, refused


@given(st.lists(st.binary(max_size=60) | st.text(max_size=60).map(str.encode), max_size=4))
def test_what_is_made_is_new_bounded_and_repeatable(benign: list[bytes]) -> None:
    made = made_from(benign)
    assert made == made_from(benign)
    every = [each for contents in made.values() for each in contents]
    assert set(made) == set(SORTS)
    assert len(set(every)) == len(every)
    assert not set(every) & set(benign)
    assert all(len(contents) <= MOST_OF_A_SORT for contents in made.values())
    assert all(len(each) <= LARGEST for each in every)


def test_each_sort_changes_what_it_says() -> None:
    made = made_from([b"<note to='you'>hello world</note>\n<b/>\n"])
    assert b"<note to='you'>hello world</note>\n<b.txt/>\n" in made["dot"]
    assert any(b"<note.note to='you'>" in each and b"</note.note>" in each for each in made["dot"])
    assert all(b"-" in each for each in made["dash"])
    assert all(any(word.isdigit() for word in each.decode()) for each in made["digit"])
    assert all(len(each) > 60 for each in made["long"])
    assert all(not each.isascii() for each in made["letter"])
    assert made["nested"] == ()


def test_json_stays_json_and_gets_deeper_and_longer() -> None:
    given_ = {"a": [1, "text"], "b": None}
    made = made_from([json.dumps(given_).encode()])
    for name in ("dot", "space", "long", "more", "nested"):
        assert made[name]
        assert all(isinstance(json.loads(each), dict) for each in made[name])
    assert {"a": [1, "text"], "b": {"b": None}} in [json.loads(each) for each in made["nested"]]
    assert len(json.loads(made["more"][0])) == 3


@pytest.mark.parametrize(
    ("counts", "sort"),
    [
        ({}, ""),
        ({"dot": (2, 2)}, ""),
        ({"dot": (2, 8), "dash": (3, 8)}, "dash"),
        ({"dot": (3, 12)}, ""),
        ({"letter": (8, 8)}, ""),
        ({"letter": (8, 8), "space": (3, 3)}, "letter"),
        ({"empty": (3, 3), "long": (8, 8)}, "long"),
    ],
)
def test_a_sort_is_refused_when_three_and_a_third_of_it_are(
    counts: dict[str, tuple[int, int]], sort: str
) -> None:
    assert refused(counts) == sort
