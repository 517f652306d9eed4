"""Both kinds of key ring."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from soft_token import empty_token, make_token, token_ring

from clearhold.adapters.keys_file import FileKeyRing
from clearhold.ports.keys import KeyRing


@pytest.fixture(scope="session")
def pin_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_token(tmp_path_factory.mktemp("token"))


@pytest.fixture(params=["file", "pkcs11"])
def open_ring(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], KeyRing]:
    """Opens one and the same ring, each time anew, as another process would."""
    if request.param == "file":
        path = tmp_path / "keys" / "ring.json"
        return lambda: FileKeyRing(path, data_directory=tmp_path / "data")
    pin_file: Path = request.getfixturevalue("pin_file")
    empty_token()
    return lambda: token_ring(pin_file, tmp_path / "keys")
