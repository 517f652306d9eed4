"""Notes, checkpoints, tile paths and proofs are read strictly, whatever is sent."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from clearhold.kernel.errors import ClearholdError, IntegrityError, InvalidError
from clearhold.ledger import bundle
from clearhold.wire.signed_note import (
    Checkpoint,
    NoteSigner,
    NoteVerifier,
    open_checkpoint,
    open_note,
)
from clearhold.wire.tlog_tiles import Tile, pack_entries, unpack_entries, width_at

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER = NoteSigner("hub.example/log", KEY)
INSTANT = datetime(2026, 6, 5, 12, tzinfo=UTC)
CHECKPOINT = Checkpoint.at("hub.example/log", 1234, b"\x05" * 32, INSTANT)
NOTE = SIGNER.sign(CHECKPOINT.text)

# A note that another implementation signed, from its documentation, and a key in daily use.
THEIR_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
THEIR_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
THEIR_SIGNATURE = (
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
)
DAILY_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"


def test_a_checkpoint_reads_as_the_specification_shows_it() -> None:
    lines = NOTE.decode().split("\n")
    assert lines[:3] == ["hub.example/log", "1234", base64.b64encode(b"\x05" * 32).decode()]
    assert lines[3] == f"time {int(INSTANT.timestamp())}"
    assert lines[4] == ""
    assert lines[5].startswith("\N{EM DASH} hub.example/log ")
    assert lines[6:] == [""]


def test_a_checkpoint_comes_back_as_it_was_signed() -> None:
    found = open_checkpoint(NOTE, NoteVerifier.parse(str(SIGNER.verifier)))
    assert found == CHECKPOINT
    assert found.time == INSTANT


def test_signatures_of_others_are_passed_over() -> None:
    witness = NoteSigner("witness.example", Ed25519PrivateKey.generate())
    theirs = witness.sign(CHECKPOINT.text).decode().split("\n")[-2]
    both = NOTE.decode() + theirs + "\n"
    assert open_checkpoint(both.encode(), SIGNER.verifier) == CHECKPOINT
    assert open_note(both.encode(), witness.verifier) == CHECKPOINT.text
    with pytest.raises(IntegrityError, match="another log"):
        open_checkpoint(both.encode(), witness.verifier)


@given(st.integers(0, len(NOTE) - 1), st.integers(1, 255))
def test_a_note_with_one_byte_changed_never_verifies_as_another(at: int, by: int) -> None:
    changed = NOTE[:at] + bytes([NOTE[at] ^ by]) + NOTE[at + 1 :]
    try:
        found = open_checkpoint(changed, SIGNER.verifier)
    except (InvalidError, IntegrityError):
        return
    assert found == CHECKPOINT  # base64 has bits that mean nothing


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_refused_as_a_note_with_a_next_step(data: bytes) -> None:
    with pytest.raises((InvalidError, IntegrityError)) as told:
        open_checkpoint(data, SIGNER.verifier)
    assert told.value.next_step


@pytest.mark.parametrize(
    "text",
    [
        "log\n-1\n" + "A" * 43 + "=\n",
        "log\n01\n" + "A" * 43 + "=\n",
        "log\n1\nAAAA\n",
        "log\n1\n",
        "log\n1\n" + "A" * 43 + "=\n\nmore\n",
        "log\n99999999999999999999\n" + "A" * 43 + "=\n",
    ],
)
def test_odd_checkpoints_are_refused_even_when_signed(text: str) -> None:
    with pytest.raises(InvalidError):
        open_checkpoint(NoteSigner("log", KEY).sign(text), NoteSigner("log", KEY).verifier)


def test_notes_and_keys_of_other_implementations_are_read() -> None:
    note = f"{THEIR_TEXT}\n\N{EM DASH} PeterNeumann {THEIR_SIGNATURE}\n".encode()
    assert open_note(note, NoteVerifier.parse(THEIR_KEY)) == THEIR_TEXT
    assert str(NoteVerifier.parse(DAILY_KEY)) == DAILY_KEY


@given(st.text(max_size=80))
def test_any_text_is_refused_as_a_verifier_key(text: str) -> None:
    with pytest.raises(InvalidError):
        NoteVerifier.parse(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb"])
def test_a_name_that_notes_cannot_bear_signs_nothing(name: str) -> None:
    with pytest.raises(InvalidError):
        NoteSigner(name, KEY)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(-1, 0), "tile/entries/000"),
        (Tile(0, 1234067), "tile/0/x001/x234/067"),
        (Tile(3, 255, 7), "tile/3/255.p/7"),
        (Tile(1, 1000), "tile/1/x001/000"),
    ],
)
def test_tiles_lie_where_the_specification_says(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert Tile.parse(path) == tile


@given(st.builds(Tile, st.integers(-1, 60), st.integers(0, 10**12), st.integers(1, 256)))
def test_every_tile_is_found_again_by_its_path(tile: Tile) -> None:
    assert Tile.parse(tile.path) == tile


@given(st.text(max_size=30) | st.from_regex(r"tile/[0-9e]/[x0-9/]{3,9}(\.p/[0-9]{1,3})?"))
def test_no_other_path_is_a_tile(path: str) -> None:
    tile = Tile.parse(path)
    assert tile is None or (tile.path == path and ".." not in path)


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_entries_come_back_and_no_other_number_of_them(entries: list[bytes]) -> None:
    content = pack_entries(entries)
    assert unpack_entries(content, len(entries)) == entries
    assert unpack_entries(content, len(entries) + 1) is None
    assert unpack_entries(content + b"\0", len(entries)) is None


@given(st.integers(0, 1 << 40), st.integers(0, 5))
def test_the_tiles_of_a_level_hold_all_its_hashes(size: int, level: int) -> None:
    count = size >> (8 * level)
    assert width_at(level, count // 256, size) == count % 256
    assert width_at(level, count // 256 + 1, size) == 0
    if count >= 256:
        assert width_at(level, 0, size) == 256


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_refused_as_a_proof_with_a_next_step(data: bytes) -> None:
    with pytest.raises(ClearholdError) as told:
        bundle.check(data, SIGNER.verifier)
    assert told.value.next_step


PROOF = {
    "format": bundle.FORMAT,
    "leaf": {
        "seq": 1,
        "at": "2026-06-05T12:00:00.000000+00:00",
        "actor": "a",
        "action": "b",
        "subject": "c",
        "compartment": None,
        "detail": {},
        "previous": None,
        "salt": "00" * 32,
    },
    "index": 0,
    "proof": [],
    "checkpoint": NOTE.decode(),
}


@pytest.mark.parametrize(
    "change",
    [
        {"index": -1},
        {"index": 1 << 62},
        {"proof": ["00" * 32] * 65},
        {"proof": ["0"]},
        {"format": "clearhold-inclusion/2"},
        {"leaf": PROOF["leaf"] | {"at": "2026-06-05"}},  # type: ignore[operator]
        {"leaf": PROOF["leaf"] | {"at": "2026-06-05T12:00:00.000000Z"}},  # type: ignore[operator]
        {"leaf": PROOF["leaf"] | {"salt": "AA" * 32}},  # type: ignore[operator]
        {"leaf": PROOF["leaf"] | {"actor": "\ud800"}},  # type: ignore[operator]
        {"checkpoint": ""},
        {"opening": {"salt": "00" * 32}},
        {"more": 1},
        {},
    ],
)
def test_odd_proofs_are_refused(change: dict[str, object]) -> None:
    with pytest.raises((InvalidError, IntegrityError)):
        bundle.check(json.dumps(PROOF | change).encode(), SIGNER.verifier)
