"""JSON from strangers is bounded, and refusals say where."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.wire.json_bounds import Limits, canonical, decode, decode_object

texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=20,
)


@given(values)
def test_what_any_writer_writes_is_read_back(value: Any) -> None:
    assert decode(json.dumps(value).encode(), object) == value
    assert decode(json.dumps(value, ensure_ascii=False, indent=1).encode(), object) == value
    assert decode(canonical(value), object) == value


@given(st.dictionaries(texts, values))
def test_canonical_bytes_do_not_depend_on_member_order(value: dict[str, Any]) -> None:
    assert canonical(value) == canonical(dict(reversed(value.items())))


@given(st.binary() | st.text(alphabet='{}[]":,\\u0d8 1ae-.\n').map(str.encode))
def test_any_bytes_are_read_as_a_strict_reader_does_or_refused(data: bytes) -> None:
    try:
        value = decode(data, object)
    except (InvalidError, TooLargeError) as problem:
        refusal = problem
    else:
        assert json.loads(data.removeprefix(b"\xef\xbb\xbf")) == value
        return
    assert refusal.next_step


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"a": 1,\n "a": 2}', "member 'a' for the second time at line 2, byte 10"),
        (b'{"a": 1, "\\u0061": 2}', "member 'a' for the second time"),
        (b'{"b": {"a": 1, "c": [], "a": 2}}', "member 'a' for the second time"),
        (b'["\\ud800"]', "half a surrogate pair at line 1, byte 1"),
        (b'["\\udc00\\ud800"]', "half a surrogate pair"),
        (b'{"\\ud800": 1}', "half a surrogate pair"),
        (b'["\xff"]', "not UTF-8 at line 1, byte 2"),
        (b'\n["\\u0000"]', "NUL character at line 2, byte 2"),
        (b'["abc', "never ends at line 1, byte 1"),
        (b'{"a":\n\n}', "line 3, byte 7"),
        (b"", "byte 0"),
        (b"NaN", "byte 0"),
    ],
)
def test_a_refusal_says_what_and_where(data: bytes, said: str) -> None:
    with pytest.raises(InvalidError) as caught:
        decode(data, object)
    assert said in caught.value.message
    assert caught.value.next_step


def test_the_same_name_in_different_objects_is_no_repetition() -> None:
    assert decode(b'[{"a":{"a":1}},{"a":["a","a"]}]', object) == [
        {"a": {"a": 1}},
        {"a": ["a", "a"]},
    ]


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deep_nesting_is_refused_before_anything_is_built(opening: bytes) -> None:
    with pytest.raises(TooLargeError, match="nested too deeply"):
        decode(opening * 100_000, object)
    assert decode(b"[" * 64 + b"]" * 64, object)
    with pytest.raises(TooLargeError):
        decode(b"[" * 65 + b"]" * 65, object)


def test_too_many_bytes_are_refused() -> None:
    assert decode(b"[]   ", object, limits=Limits(size=5)) == []
    with pytest.raises(TooLargeError, match="6 bytes; at most 5"):
        decode(b"[]    ", object, limits=Limits(size=5))


def test_a_byte_order_mark_is_passed_over() -> None:
    assert decode_object(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


def test_hostile_quotes_take_no_more_than_linear_work() -> None:
    # quadratic scanning of these two million bytes would take hours and meet the suite's timeout
    with pytest.raises(InvalidError):
        decode(b'"' + b'\\"' * 1_000_000, object)
    with pytest.raises(InvalidError):
        decode(b"\\" * 2_000_000, object)


def test_an_array_is_no_object() -> None:
    with pytest.raises(InvalidError, match="shape"):
        decode_object(b"[]")
