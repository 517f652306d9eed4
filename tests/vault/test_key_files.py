"""Keys lie outside the data, readable by nobody else, and are made once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clearhold.adapters.blobs_local import LocalBlobs
from clearhold.adapters.keys_file import FileKeyRing
from clearhold.adapters.signer_file import signing_key
from clearhold.kernel.errors import InvalidError, UnavailableError

OPEN = """
import sys
from pathlib import Path
from clearhold.adapters.keys_file import FileKeyRing
from clearhold.adapters.signer_file import signing_key
print("ready", flush=True)
sys.stdin.readline()
keys = Path(sys.argv[1])
ring = FileKeyRing(keys / "ring.json", data_directory=keys.parent / "data")
print(ring.keyed_hash("p", b"v").hex(), signing_key(keys, "p").private_bytes_raw().hex())
"""


def test_a_ring_inside_the_data_directory_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "link").symlink_to(data)
    for path in (data / "ring.json", data / "keys" / "ring.json", tmp_path / "link" / "ring.json"):
        with pytest.raises(InvalidError) as told:
            FileKeyRing(path, data_directory=data)
        assert "CLEARHOLD_KEY_DIRECTORY" in told.value.next_step
    assert list(data.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620])
def test_a_ring_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keys" / "ring.json"
    FileKeyRing(path, data_directory=tmp_path / "data")
    path.chmod(mode)
    with pytest.raises(UnavailableError) as told:
        FileKeyRing(path, data_directory=tmp_path / "data")
    assert f"chmod 600 {path}" in told.value.next_step


def test_what_is_made_is_the_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        FileKeyRing(tmp_path / "keys" / "ring.json", data_directory=tmp_path / "data")
        signing_key(tmp_path / "keys", "validation")
    finally:
        os.umask(before)
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    files = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()}
    assert files == {"ring.json": 0o600, "validation.ed25519": 0o600}


def test_a_ring_is_the_same_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "ring.json"
    first = FileKeyRing(path, data_directory=tmp_path / "data")
    wrapped = first.wrap(b"k" * 32, context=b"c")
    again = FileKeyRing(path, data_directory=tmp_path / "data")
    assert again.unwrap(wrapped, context=b"c") == b"k" * 32
    assert again.keyed_hash("p", b"v") == first.keyed_hash("p", b"v")


def test_processes_that_make_the_keys_at_once_agree(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN, str(tmp_path / "keys")]
    racers = [
        subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    made = {racer.communicate()[0] for racer in racers}
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert len(made) == 1
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == ["p.ed25519", "ring.json"]


def test_threads_that_make_the_keys_at_once_agree(tmp_path: Path) -> None:
    def make(_: int) -> tuple[bytes, bytes]:
        ring = FileKeyRing(tmp_path / "keys" / "ring.json", data_directory=tmp_path / "data")
        key = signing_key(tmp_path / "keys", "p")
        return ring.keyed_hash("p", b"v"), key.private_bytes_raw()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(make, range(8)))) == 1


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not json",
        "[]",
        "{}",
        '{"current": "a", "keks": {}, "hash_key": ""}',
        '{"current": "a", "keks": {"a": "AAAA"}, "hash_key": "AAAA"}',
        '{"current": "a", "keks": {"a": 7}, "hash_key": "????"}',
        '{"current": ["a"], "keks": {"a": "AAAA"}, "hash_key": "AAAA"}',
        "\x00\xff",
    ],
)
def test_a_damaged_ring_is_told_in_a_sentence_and_never_replaced(
    tmp_path: Path, content: str
) -> None:
    path = tmp_path / "ring.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(UnavailableError) as told:
        FileKeyRing(path, data_directory=tmp_path / "data")
    assert told.value.next_step
    assert path.read_text() == content


def test_a_ring_that_lost_its_current_key_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "ring.json"
    FileKeyRing(path, data_directory=tmp_path / "data")
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"current": "kek-gone"}))
    with pytest.raises(UnavailableError):
        FileKeyRing(path, data_directory=tmp_path / "data")


def test_a_signing_key_others_can_read_is_refused(tmp_path: Path) -> None:
    signing_key(tmp_path, "validation")
    (tmp_path / "validation.ed25519").chmod(0o644)
    with pytest.raises(UnavailableError) as told:
        signing_key(tmp_path, "validation")
    assert "chmod 600" in told.value.next_step


def test_a_damaged_signing_key_is_told_and_never_replaced(tmp_path: Path) -> None:
    signing_key(tmp_path, "validation")
    path = tmp_path / "validation.ed25519"
    path.write_bytes(b"short")
    with pytest.raises(UnavailableError):
        signing_key(tmp_path, "validation")
    assert path.read_bytes() == b"short"


def test_a_file_kept_twice_is_one_file_and_no_half_file_is_ever_seen(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(blobs.put, [b"content"] * 16))
    assert len(digests) == 1
    assert blobs.get(*digests) == b"content"
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1
