"""A ring is a ring, whether its keys lie in a file or in a token."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from soft_token import LABEL, PIN, empty_token, token_ring

from clearhold.adapters.keys_file import FileKeyRing
from clearhold.adapters.keys_pkcs11 import Pkcs11KeyRing
from clearhold.delivery.cli.system_checks import SOFT_TOKEN
from clearhold.kernel.errors import (
    ConflictError,
    IntegrityError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)
from clearhold.ports.keys import BackupState, KeyRing

KEY = bytes(range(32))
Open = Callable[[], KeyRing]

FOREIGN = """
import sys
from pathlib import Path
from clearhold.adapters.keys_pkcs11 import Pkcs11KeyRing
module, token, pin, keys = sys.argv[1:]
ring = Pkcs11KeyRing(Path(module), token=token, pin_file=Path(pin), lock_directory=Path(keys))
ring.rotate("kek-of-another-process")
print(ring.wrap(bytes(range(32)), context=b"c").ciphertext.hex())
"""


def test_what_is_wrapped_opens_with_its_context_alone(open_ring: Open) -> None:
    ring = open_ring()
    wrapped = ring.wrap(KEY, context=b"one")
    assert ring.unwrap(wrapped, context=b"one") == KEY
    assert KEY not in wrapped.ciphertext
    assert ring.wrap(KEY, context=b"one").ciphertext != wrapped.ciphertext
    flipped = wrapped.ciphertext[:-1] + bytes([wrapped.ciphertext[-1] ^ 1])
    for each, context in (
        (wrapped, b"two"),
        (wrapped, b""),
        (replace(wrapped, kek="kek-unknown"), b"one"),
        (replace(wrapped, ciphertext=flipped), b"one"),
        (replace(wrapped, ciphertext=wrapped.ciphertext[:-1]), b"one"),
        (replace(wrapped, ciphertext=wrapped.ciphertext[:13]), b"one"),
        (replace(wrapped, ciphertext=b""), b"one"),
    ):
        with pytest.raises(IntegrityError):
            ring.unwrap(each, context=context)
    assert ring.unwrap(wrapped, context=b"one") == KEY


def test_hashes_are_the_same_for_equal_values_of_one_purpose_alone(open_ring: Open) -> None:
    ring = open_ring()
    made = ring.keyed_hash("frame", b"main")
    assert len(made) == 32
    assert ring.keyed_hash("frame", b"main") == made
    others = {
        ring.keyed_hash(purpose, value)
        for purpose, value in (("frame", b"main2"), ("name", b"main"), ("fram", b"emain"))
    }
    assert len(others | {made}) == 4


def test_a_ring_opened_again_is_the_same_ring(open_ring: Open) -> None:
    first = open_ring()
    wrapped = first.wrap(KEY, context=b"c")
    again = open_ring()
    assert again.unwrap(wrapped, context=b"c") == KEY
    assert again.keyed_hash("p", b"v") == first.keyed_hash("p", b"v")
    assert again.generations() == first.generations()


def test_after_a_rotation_the_new_key_wraps_and_the_old_one_still_opens(open_ring: Open) -> None:
    ring = open_ring()
    hashed = ring.keyed_hash("p", b"v")
    before = ring.wrap(KEY, context=b"c")
    ring.rotate("kek-next")
    after = ring.wrap(KEY, context=b"c")
    assert (before.kek, after.kek) == ring.generations()
    assert after.kek == "kek-next"
    assert ring.unwrap(before, context=b"c") == ring.unwrap(after, context=b"c") == KEY
    assert ring.keyed_hash("p", b"v") == hashed
    ring.rotate("kek-next")
    assert ring.generations() == (before.kek, after.kek)
    with pytest.raises(ConflictError):
        ring.rotate(before.kek)


def test_a_rotation_by_one_is_followed_by_all_who_have_the_ring_open(open_ring: Open) -> None:
    one, other = open_ring(), open_ring()
    before = other.wrap(KEY, context=b"c")
    one.rotate("kek-next")
    wrapped = other.wrap(KEY, context=b"c")
    assert wrapped.kek == "kek-next"
    one.destroy(before.kek)
    with pytest.raises(IntegrityError):
        other.unwrap(before, context=b"c")
    assert other.unwrap(wrapped, context=b"c") == KEY


def test_a_destroyed_key_opens_nothing_and_the_current_one_is_not_destroyed(
    open_ring: Open,
) -> None:
    ring = open_ring()
    before = ring.wrap(KEY, context=b"c")
    with pytest.raises(ConflictError):
        ring.destroy(before.kek)
    ring.rotate("kek-next")
    ring.destroy(before.kek)
    ring.destroy(before.kek)
    assert ring.generations() == ("kek-next",)
    assert open_ring().generations() == ("kek-next",)
    with pytest.raises(IntegrityError):
        ring.unwrap(before, context=b"c")


def test_many_threads_use_one_ring_at_once(open_ring: Open) -> None:
    ring = open_ring()

    def turn(number: int) -> bool:
        context = b"%d" % number
        if number == 20:
            ring.rotate("kek-next")
        wrapped = ring.wrap(KEY, context=context)
        ring.keyed_hash("p", context)
        return ring.unwrap(wrapped, context=context) == KEY

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(turn, range(40)))
    assert ring.generations()[-1] == "kek-next"


def test_no_key_shows_in_what_a_ring_says_of_itself(open_ring: Open) -> None:
    ring = open_ring()
    wrapped = ring.wrap(KEY, context=b"c")
    shown = repr(ring) + repr(wrapped) + repr(vars(ring))
    assert "keks=" not in shown
    assert PIN not in shown


# What a file alone does.


def ring_at(tmp_path: Path) -> FileKeyRing:
    return FileKeyRing(tmp_path / "keys" / "ring.json", data_directory=tmp_path / "data")


def test_a_rotation_and_a_destruction_reach_every_backup(tmp_path: Path) -> None:
    ring = ring_at(tmp_path)
    copies = [tmp_path / "safe" / "one.json", tmp_path / "vault" / "two.json"]
    for copy in copies:
        copy.parent.mkdir()
        ring.back_up(copy)
        assert copy.stat().st_mode & 0o777 == 0o600
    before = ring.wrap(KEY, context=b"c")
    ring.rotate("kek-next")
    after = ring.wrap(KEY, context=b"c")
    for copy in copies:
        restored = FileKeyRing(copy, data_directory=tmp_path / "data")
        assert restored.unwrap(before, context=b"c") == KEY
        assert restored.unwrap(after, context=b"c") == KEY
    ring.destroy(before.kek)
    for copy in copies:
        restored = FileKeyRing(copy, data_directory=tmp_path / "data")
        assert restored.unwrap(after, context=b"c") == KEY
        with pytest.raises(IntegrityError):
            restored.unwrap(before, context=b"c")
    assert ring.backups() == dict.fromkeys(map(str, copies), BackupState.WHOLE)


def test_with_a_backup_out_of_reach_nothing_is_destroyed_and_it_is_named(tmp_path: Path) -> None:
    ring = ring_at(tmp_path)
    near, far = tmp_path / "near.json", tmp_path / "medium" / "far.json"
    far.parent.mkdir()
    ring.back_up(near)
    ring.back_up(far)
    first = ring.generations()[0]
    medium = far.parent.rename(tmp_path / "in a drawer")
    far.parent.mkdir()  # a mount point without its medium
    ring.rotate("kek-next")
    assert ring.backups()[str(far)] is BackupState.OUT_OF_REACH
    with pytest.raises(UnavailableError, match=str(far)) as told:
        ring.destroy(first)
    assert "forget" in told.value.next_step
    for path in (tmp_path / "keys" / "ring.json", near):
        assert first in FileKeyRing(path, data_directory=tmp_path / "data").generations()
    far.parent.rmdir()
    medium.rename(far.parent)
    assert ring.backups()[str(far)] is BackupState.STALE
    ring.destroy(first)
    assert FileKeyRing(far, data_directory=tmp_path / "data").generations() == ("kek-next",)


def test_a_backup_that_is_forgotten_is_removed_where_it_can_be(tmp_path: Path) -> None:
    ring = ring_at(tmp_path)
    copy = tmp_path / "copy.json"
    ring.back_up(copy)
    ring.forget(str(copy))
    assert not copy.exists()
    assert ring.backups() == {}
    with pytest.raises(NotFoundError):
        ring.forget(str(copy))


def test_a_backup_goes_neither_into_the_data_nor_over_another_file(tmp_path: Path) -> None:
    ring = ring_at(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    (tmp_path / "other").write_text("mine")
    for place in ("data/ring.json", "link/ring.json", "nowhere/ring.json", "other"):
        with pytest.raises(InvalidError):
            ring.back_up(tmp_path / place)
    assert (tmp_path / "other").read_text() == "mine"
    assert ring.backups() == {}


def test_what_a_killed_writer_left_half_written_goes_with_the_next_change(tmp_path: Path) -> None:
    ring = ring_at(tmp_path)
    left = tmp_path / "keys" / "ring.json.0123456789abcdef.new"
    left.write_bytes((tmp_path / "keys" / "ring.json").read_bytes())
    ring.rotate("kek-next")
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["ring.json"]


def test_a_ring_of_an_earlier_release_is_read(tmp_path: Path) -> None:
    ring = ring_at(tmp_path)
    path = tmp_path / "keys" / "ring.json"
    path.write_text(path.read_text().replace(', "backups": []', ""))
    assert ring_at(tmp_path).unwrap(ring.wrap(KEY, context=b"c"), context=b"c") == KEY


# What a token alone does.


@pytest.fixture
def token(pin_file: Path, tmp_path: Path) -> Pkcs11KeyRing:
    empty_token()
    return token_ring(pin_file, tmp_path / "keys")


def test_keys_cannot_be_read_out_of_the_token(token: Pkcs11KeyRing) -> None:
    import pkcs11  # noqa: PLC0415  # an extra

    token.rotate("kek-next")
    keys = list(token._session.get_objects())
    assert len(keys) == 3
    for key in keys:
        assert key[pkcs11.Attribute.SENSITIVE]
        assert not key[pkcs11.Attribute.EXTRACTABLE]
        assert key[pkcs11.Attribute.NEVER_EXTRACTABLE]
        with pytest.raises(pkcs11.exceptions.AttributeSensitive):
            key[pkcs11.Attribute.VALUE]


def test_another_process_and_this_one_use_one_token(
    token: Pkcs11KeyRing, pin_file: Path, tmp_path: Path
) -> None:
    words = (str(SOFT_TOKEN), LABEL, str(pin_file), str(tmp_path / "keys"))
    done = subprocess.run(
        [sys.executable, "-c", FOREIGN, *words], capture_output=True, text=True, check=True
    )
    assert token.generations()[-1] == "kek-of-another-process"
    mine = token.wrap(KEY, context=b"c")
    assert mine.kek == "kek-of-another-process"
    theirs = replace(mine, ciphertext=bytes.fromhex(done.stdout))
    assert token.unwrap(theirs, context=b"c") == KEY


def test_a_token_that_cannot_be_used_is_one_sentence_without_the_pin(
    token: Pkcs11KeyRing, pin_file: Path, tmp_path: Path
) -> None:
    open_to_all = tmp_path / "pin"
    open_to_all.write_text(PIN)
    open_to_all.chmod(0o644)
    wrong = tmp_path / "wrong"
    wrong.write_bytes(b"\xff\xfe")
    wrong.chmod(0o600)
    for module, label, pin in (
        (SOFT_TOKEN, LABEL, open_to_all),
        (SOFT_TOKEN, LABEL, tmp_path / "absent"),
        (SOFT_TOKEN, LABEL, wrong),
        (SOFT_TOKEN, "no-such-token", pin_file),
        (tmp_path / "no-such-module.so", LABEL, pin_file),
    ):
        with pytest.raises(UnavailableError) as told:
            Pkcs11KeyRing(module, token=label, pin_file=pin, lock_directory=tmp_path / "keys")
        assert told.value.next_step
        assert PIN not in told.value.message + told.value.next_step


def test_a_wrong_pin_is_told_without_it(pin_file: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "pin"
    wrong.write_text("WRONG-pin-1234")
    wrong.chmod(0o600)
    script = FOREIGN.replace("ring.rotate", "raise SystemExit(7); ring.rotate")
    done = subprocess.run(
        [sys.executable, "-c", script, str(SOFT_TOKEN), LABEL, str(wrong), str(tmp_path / "k")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "UnavailableError: The token that holds the keys cannot be used" in done.stderr
    assert "WRONG-pin-1234" not in done.stderr + done.stdout


def test_a_token_gives_no_copy_of_its_keys(token: Pkcs11KeyRing, tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="cannot leave"):
        token.back_up(tmp_path / "copy")
    with pytest.raises(NotFoundError):
        token.forget(str(tmp_path / "copy"))
    assert token.backups() == {}
