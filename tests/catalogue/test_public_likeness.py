"""What a report has in common with public flaws, by public text alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clearhold.catalogue.likeness import (
    MOST_NAMES,
    MOST_SHARING,
    MOST_WEAKNESSES,
    MOST_WORDS,
    Known,
    terms_of,
)

TEXTS = (
    "A heap overflow in `parse_string` of cJSON.c when a string is not closed.",
    "Deeply nested arrays exhaust the stack in parseValue() and end the process.",
    "An escaped surrogate is decoded to text that no other reader takes for the same.",
    "Comparing tokens takes time that depends on the secret.",
)


def test_names_out_of_code_are_told_from_words() -> None:
    found = terms_of("`parse_string` of src/cJSON.c calls Foo::bar() and readHeader")
    assert {"parse_string", "cjson.c", "foo::bar", "bar", "readheader"} <= set(found.names)
    assert "calls" not in found.names


def test_the_flaw_told_in_other_words_is_the_likeliest() -> None:
    known = Known([terms_of(text) for text in TEXTS])
    report = terms_of("ASan: heap-buffer-overflow READ in parse_string cJSON.c:809")
    found = known.likeness(report)
    assert max(found, key=lambda place: found[place].score) == 0
    assert found[0].signs[0] == "names parse_string, cjson.c"
    assert all(not found[place].signs for place in found if place != 0)


def test_a_name_that_most_flaws_share_is_no_sign() -> None:
    known = Known([terms_of(f"{text} in main_loop()") for text in TEXTS])
    found = known.likeness(terms_of("main_loop()"))
    assert len(found) == len(TEXTS)
    assert not any(each.signs for each in found.values())


def test_a_weakness_alone_is_no_sign() -> None:
    known = Known([terms_of(text, weaknesses=("CWE-787",)) for text in TEXTS])
    found = known.likeness(terms_of("quite something else", weaknesses=("CWE-787",)))
    assert not any(each.signs for each in found.values())


texts = st.lists(st.text(alphabet="abc_() :.", max_size=60), max_size=6)


@given(texts, st.text(alphabet="abc_() :.", max_size=60), st.randoms(use_true_random=False))
def test_the_order_in_which_flaws_are_held_changes_nothing(
    held: list[str], report: str, random: object
) -> None:
    terms = [terms_of(each) for each in held]
    order = list(range(len(held)))
    random.shuffle(order)  # type: ignore[attr-defined]
    straight = Known(terms).likeness(terms_of(report))
    mixed = Known([terms[place] for place in order]).likeness(terms_of(report))
    assert {order[place]: each for place, each in mixed.items()} == straight


@given(st.text(max_size=3000))
def test_terms_are_bounded_whatever_is_written(text: str) -> None:
    found = terms_of(text)
    assert len(found.names) <= MOST_NAMES
    assert len(found.words) <= MOST_WORDS
    assert all(len(each) <= 120 for each in (*found.names, *found.words))


def test_text_made_to_be_slow_is_not() -> None:
    for piece in ("a_", "a::", "a.", "`", "aA", "a->", "a()", "(", "http://"):
        terms_of(piece * 50_000)


def test_what_very_many_flaws_share_is_passed_over_so_that_the_work_is_bounded() -> None:
    many = range(MOST_SHARING + 1)
    told = [terms_of(f"kernel driver_{n}()", weaknesses=("CWE-416",)) for n in many]
    known = Known(told)
    assert known.likeness(terms_of("kernel", weaknesses=("CWE-416",))) == {}
    found = known.likeness(terms_of("kernel driver_7()", weaknesses=("CWE-416",)))
    assert list(found) == [7]
    assert found[7].signs[0] == "names driver_7"


def test_weaknesses_are_bounded_too() -> None:
    found = terms_of("", weaknesses=(f"CWE-{number}" for number in range(1, 10_000)))
    assert len(found.weaknesses) == MOST_WEAKNESSES
