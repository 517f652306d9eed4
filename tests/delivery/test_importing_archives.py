"""Damaged and oversized files of published records are refused in a sentence, never by a crash."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from clearhold.delivery.cli.catalogue_import import LARGEST, documents
from clearhold.kernel.errors import InvalidError


def archive(method: int) -> bytearray:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as made:
        made.writestr("a.json", json.dumps({"id": "GHSA-wpqr-jcpx-745r", "n": list(range(3000))}))
    return bytearray(packed.getvalue())


def garbled(method: int) -> bytes:
    content = archive(method)
    for place in range(60, 200):
        content[place] ^= 0x5A
    return bytes(content)


def without_a_list() -> bytes:
    return bytes(archive(zipfile.ZIP_STORED).replace(b"PK\x01\x02", b"XXXX"))


@pytest.mark.parametrize(
    "content",
    [
        *(garbled(each) for each in (zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2)),
        without_a_list(),
    ],
    ids=["deflate", "lzma", "bzip2", "central directory"],
)
def test_a_damaged_archive_is_refused_in_a_sentence(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "all.zip"
    file.write_bytes(content)
    with pytest.raises(InvalidError, match="The archive is damaged at") as refused:
        list(documents(file))
    assert refused.value.next_step


@pytest.mark.parametrize("ending", [b"\n{}\n", b""])
def test_of_a_line_without_end_no_more_is_held_than_shows_that_it_is_too_long(
    ending: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "all.jsonl"
    file.write_bytes(b"{}\n\n" + b"a" * (2 * LARGEST + 5) + ending)
    found = [(name, len(content)) for name, content in documents(file)]
    assert found[:2] == [("all.jsonl: line 1", 3), ("all.jsonl: line 3", LARGEST + 1)]
    assert found[2:] == ([("all.jsonl: line 4", 3)] if ending else [])
