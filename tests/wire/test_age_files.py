"""The outside of an age file is told exactly, and of anything else nothing is believed."""

from __future__ import annotations

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearhold.kernel.errors import ClearholdError, InvalidError, TooLargeError
from clearhold.wire import age
from clearhold.wire.letter import LARGEST, Letter, is_bucket

IDENTITIES = [pyrage.x25519.Identity.generate() for _ in range(5)]
KEYS = [each.to_public() for each in IDENTITIES]
BOUND = 1 << 20
_WHOLE = pyrage.encrypt(bytes(131_072), KEYS[:1])
_SHORT = pyrage.encrypt(b"x" * 100, KEYS[:2])


@settings(deadline=None, max_examples=60)
@given(
    size=st.sampled_from([0, 1, 65535, 65536, 65537, 131072, 131073]) | st.integers(0, 200_000),
    count=st.integers(1, 5),
)
def test_the_number_of_recipients_and_the_size_are_told_exactly(size: int, count: int) -> None:
    told = age.read(pyrage.encrypt(bytes(size), KEYS[:count]), largest=BOUND)
    assert (told.recipients, told.size) == (count, size)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=400))
def test_any_bytes_are_refused_in_a_sentence(content: bytes) -> None:
    for each in (content, b"age-encryption.org/v1\n" + content):
        with pytest.raises(ClearholdError) as told:
            age.read(each, largest=BOUND)
        assert told.value.next_step


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_a_file_changed_in_its_header_is_refused_or_tells_the_truth(data: st.DataObject) -> None:
    whole = _SHORT
    position = data.draw(st.integers(0, whole.index(b"\n---") + 48))
    changed = bytearray(whole)
    if data.draw(st.booleans()):
        changed[position] = data.draw(st.integers(0, 255))
    else:
        del changed[position : position + data.draw(st.integers(1, 80))]
    try:
        told = age.read(bytes(changed), largest=BOUND)
    except ClearholdError:
        return
    assert told.recipients <= 2


@given(cut=st.integers(1, 131_200))
def test_a_file_cut_off_is_never_larger_than_what_it_holds(cut: int) -> None:
    whole = _WHOLE
    try:
        told = age.read(whole[: max(len(whole) - cut, 0)], largest=BOUND)
    except ClearholdError:
        return
    assert told.size < 131_072


def test_too_many_recipients_or_too_much_content_is_refused() -> None:
    with pytest.raises(InvalidError, match="recipients"):
        age.read(pyrage.encrypt(b"", KEYS[:1] * 65), largest=BOUND)
    with pytest.raises(TooLargeError):
        age.read(pyrage.encrypt(bytes(101), KEYS[:1]), largest=100)
    assert age.read(pyrage.encrypt(bytes(100), KEYS[:1]), largest=100).size == 100


@pytest.mark.parametrize(
    "stanza",
    [
        b"-> scrypt bBjlhJVYZeE4aqUdmtRHfw 15\nZV/AhotwSGqaPCU43cepl4WYUouAa17a3xpu4G2yi5k\n",
        b"-> ssh-ed25519 aaaaaa bbbbbb\nZV/AhotwSGqaPCU43cepl4WYUouAa17a3xpu4G2yi5k\n",
        b"-> X25519 short\nZV/AhotwSGqaPCU43cepl4WYUouAa17a3xpu4G2yi5k\n",
        b"->\n\n",
        b"-> X25519\n",
    ],
)
def test_other_kinds_of_recipients_are_refused(stanza: bytes) -> None:
    content = b"age-encryption.org/v1\n" + stanza + b"--- " + b"A" * 43 + b"\n" + bytes(40)
    with pytest.raises(InvalidError):
        age.read(content, largest=BOUND)


def test_grease_is_not_a_place_to_hide_recipients_in() -> None:
    line = b"-> a-grease x\n\n"
    header = pyrage.encrypt(b"", KEYS[:1])
    first = header.index(b"-> X25519")
    with pytest.raises(InvalidError):
        age.read(header[:first] + line * 3 + header[first:], largest=BOUND)


def test_a_fingerprint_is_of_one_recipient_alone() -> None:
    prints = {age.fingerprint(str(each)) for each in KEYS}
    assert len(prints) == len(KEYS)
    assert all(len(each) == 39 for each in prints)
    for text in ("", "age1", str(KEYS[0])[:-1], str(KEYS[0]).upper(), str(IDENTITIES[0])):
        with pytest.raises(InvalidError):
            age.fingerprint(text)


@settings(deadline=None)
@given(name=st.text(max_size=300), content=st.binary(max_size=20_000))
def test_a_letter_comes_out_as_it_went_in_and_shows_only_its_bucket(
    name: str, content: bytes
) -> None:
    name = name.encode(errors="ignore")[:255].decode(errors="ignore")
    padded = Letter(name, content).to_bytes()
    assert is_bucket(len(padded))
    assert len(padded) <= max(4096, 2 * (len(content) + 300))
    assert Letter.from_bytes(padded) == Letter(name, content)


@given(content=st.binary(max_size=60), begun=st.booleans())
def test_what_is_no_letter_is_refused(content: bytes, *, begun: bool) -> None:
    try:
        Letter.from_bytes(b"CHSEAL1\n" + content if begun else content)
    except InvalidError:
        return
    assert begun


def test_a_letter_has_a_largest_size() -> None:
    with pytest.raises(TooLargeError):
        Letter("n", bytes(LARGEST)).to_bytes()
    assert len(Letter("n", bytes(LARGEST - 21)).to_bytes()) == LARGEST
    assert not is_bucket(2 * LARGEST)
    assert not is_bucket(4097)
