"""Anybody can check a published document without a hub, whatever the file is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from drawn_advisories import make_advisory
from typer.testing import CliRunner

from clearhold.advisories.renderings import render
from clearhold.delivery.cli import main

DOCUMENTS = dict(render(make_advisory()).items())


@pytest.mark.parametrize("kind", sorted(DOCUMENTS))
def test_a_document_is_valid_and_says_of_each_version_what_it_says(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "document"
    path.write_bytes(DOCUMENTS[kind])  # type: ignore[index]
    words = ["--package", "pkg:pypi/ujson", "--version", "5.1.0", "--version", "5.4.0", "--json"]
    done = CliRunner().invoke(main.app, ["advisory", "check", kind, str(path), *words])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["verdicts"] == {"5.1.0": "affected", "5.4.0": "not_affected"}
    assert (told["problems"], told["bytes"]) == ([], len(path.read_bytes()))


@pytest.mark.parametrize("kind", sorted(DOCUMENTS))
@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"a": 1}', b"\xff\x00", b"[" * 5000])
def test_whatever_is_no_document_ends_with_a_reason(
    tmp_path: Path, kind: str, content: bytes
) -> None:
    path = tmp_path / "document"
    path.write_bytes(content)
    done = CliRunner().invoke(
        main.app, ["advisory", "check", kind, str(path), "--package", "pkg:a/b"]
    )
    assert done.exit_code == 1
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert "problems" in done.output or "next:" in done.stderr
