"""The hub believes nothing that a supervisor sends unchecked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.adapters.sandbox_bwrap.artefacts import ArtefactReader
from clearhold.kernel.errors import IntegrityError


def header(name: bytes, size: int) -> bytes:
    return size.to_bytes(8, "big") + name


def test_files_come_out_as_they_went_in() -> None:
    reader = ArtefactReader(100)
    reader.begin(header(b"a/b", 5))
    reader.extend(b"he")
    reader.extend(b"llo")
    reader.begin(header("ü".encode(), 0))
    assert reader.files() == {"a/b": b"hello", "ü": b""}


@pytest.mark.parametrize(
    "name",
    [b"", b"/etc/x", b"../x", b"a/../b", b"a//b", b"a/", b".", b"./a", b"\xff", b"a\nb", b"a\0b", b"x" * 1025],
)  # fmt: skip
def test_a_name_that_is_not_plain_is_refused(name: bytes) -> None:
    with pytest.raises(IntegrityError):
        ArtefactReader(100).begin(header(name, 1))


def test_sizes_are_held_to() -> None:
    with pytest.raises(IntegrityError):
        ArtefactReader(9).begin(header(b"a", 10))
    reader = ArtefactReader(100)
    with pytest.raises(IntegrityError):
        reader.extend(b"nothing was begun")
    reader.begin(header(b"a", 3))
    with pytest.raises(IntegrityError):
        reader.extend(b"four")
    with pytest.raises(IntegrityError):
        reader.begin(header(b"b", 1))
    with pytest.raises(IntegrityError):
        reader.files()


def test_room_is_shared_by_all_files_and_names_come_once() -> None:
    reader = ArtefactReader(5)
    reader.begin(header(b"a", 3))
    reader.extend(b"abc")
    with pytest.raises(IntegrityError):
        reader.begin(header(b"a", 1))
    with pytest.raises(IntegrityError):
        reader.begin(header(b"b", 3))


def test_their_number_is_bounded() -> None:
    reader = ArtefactReader(5)
    for number in range(4096):
        reader.begin(header(str(number).encode(), 0))
    with pytest.raises(IntegrityError):
        reader.begin(header(b"more", 0))


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=24)), max_size=20))
def test_any_stream_is_read_within_its_room_or_refused(messages: list[tuple[bool, bytes]]) -> None:
    reader = ArtefactReader(64)
    try:
        for begins, content in messages:
            if begins:
                reader.begin(content)
            else:
                reader.extend(content)
        files = reader.files()
    except IntegrityError:
        return
    assert sum(map(len, files.values())) <= 64
    for name in files:
        assert not name.startswith("/")
        assert ".." not in name.split("/")
