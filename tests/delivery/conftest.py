"""Commands run on a hub whose settings come from the environment, as people set them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Ended
from typer.testing import CliRunner

from clearhold.delivery.cli import main


@pytest.fixture
def home(tmp_path: Path, open_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place of its own for the hub that commands open."""
    for name in ("DATABASE", "LEAST_TIER", "LEAST_TIER_CODE", "TOKEN", "URL"):
        monkeypatch.delenv(f"CLEARHOLD_{name}", raising=False)
    monkeypatch.setenv("CLEARHOLD_DATA_DIRECTORY", str(tmp_path / "data"))
    monkeypatch.setenv("CLEARHOLD_KEY_DIRECTORY", str(tmp_path / "keys"))
    monkeypatch.setenv("CLEARHOLD_CACHE_DIRECTORY", str(open_path / "cache"))
    # Nothing listens at port 1, so the package index is looked for without leaving this machine.
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple/")
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path


@pytest.fixture
def run(home: Path) -> Callable[..., Ended]:
    def command(*words: str) -> Ended:
        done = CliRunner().invoke(main.app, list(words))
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Ended(done.exit_code, done.stdout, done.stderr)

    return command
