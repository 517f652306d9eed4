"""Every kind of origin is documented, and one that gives nothing is named with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from clearhold.adapters.origins import all_origins
from clearhold.adapters.sources_npm import RegistrySettings, npm_settings
from clearhold.adapters.sources_web import WebFetcher
from clearhold.kernel.errors import InvalidError, UnavailableError


def test_every_kind_of_origin_is_documented(tmp_path: Path) -> None:
    documented = Path("docs/recipes.md").read_text(encoding="utf-8")
    assert [kind for kind in all_origins(tmp_path) if f"`{kind}:" not in documented] == []


@pytest.mark.parametrize(
    "locator", ["", "--output=x", "../../etc/passwd", "x\ny", "\0", "x" * 5000]
)
def test_no_kind_of_origin_takes_what_names_nothing(tmp_path: Path, locator: str) -> None:
    for fetcher in all_origins(tmp_path / "cache").values():
        with pytest.raises(InvalidError) as refused:
            fetcher.fetch(locator, tmp_path / "file", size_cap=10)
        assert refused.value.next_step
    assert list(tmp_path.iterdir()) == []


def test_a_web_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as missing:
        WebFetcher(timeout_s=2).fetch("https://127.0.0.1:9/a.tgz", tmp_path / "f", size_cap=10)
    assert "127.0.0.1" in missing.value.message
    assert missing.value.next_step
    assert not (tmp_path / "f").exists()


def test_npm_certificate_comes_from_its_own_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "npmrc"
    own.write_text("; mine\nregistry = https://mirror.invalid/npm\ncafile=/etc/mirror.pem\n")
    monkeypatch.setenv("npm_config_userconfig", str(own))
    monkeypatch.delenv("npm_config_registry", raising=False)
    monkeypatch.delenv("npm_config_cafile", raising=False)
    assert npm_settings() == RegistrySettings("https://mirror.invalid/npm/", "/etc/mirror.pem")
