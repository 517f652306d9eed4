"""Sources from npm's registry, from addresses and from commits: bytes alone, pinned, nothing run."""

from __future__ import annotations

import hashlib
import http.server
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from clearhold.adapters.sources_cache import CachedSources
from clearhold.adapters.sources_git import GitFetcher, write_tree
from clearhold.adapters.sources_npm import NpmFetcher, RegistrySettings, npm_settings
from clearhold.adapters.sources_web import WebFetcher
from clearhold.kernel.errors import InvalidError, TooLargeError, UnavailableError

CAP = 1 << 20


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """A registry of two packages on this machine."""
    for name in ("plain/-/plain-1.0.0.tgz", "@scope/part/-/part-2.0.0.tgz"):
        file = tmp_path / "registry" / name
        file.parent.mkdir(parents=True)
        file.write_bytes(name.encode())
    root = str(tmp_path / "registry")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *given: object, **named: object) -> None:
            super().__init__(*given, directory=root, **named)  # type: ignore[arg-type]

        def log_message(self, *_given: object) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def npm(registry: str) -> NpmFetcher:
    return NpmFetcher(RegistrySettings(registry, None))


def test_a_tarball_comes_from_the_registry_npm_is_configured_for(
    registry: str, tmp_path: Path
) -> None:
    for locator in ("plain@1.0.0", "@scope/part@2.0.0"):
        target = tmp_path / locator.replace("/", "-")
        npm(registry).fetch(locator, target, size_cap=CAP)
        assert b"-/" in target.read_bytes()
    with pytest.raises(UnavailableError, match="404"):
        npm(registry).fetch("plain@9.9.9", tmp_path / "none", size_cap=CAP)
    with pytest.raises(TooLargeError):
        npm(registry).fetch("plain@1.0.0", tmp_path / "small", size_cap=3)


@pytest.mark.parametrize(
    "locator",
    ["plain", "plain@latest", "../x@1.0.0", "plain@1.0.0/../x", "@a/b/c@1.0.0", "Plain@1.0.0\n"],
)
def test_what_names_no_version_of_a_package_is_refused(locator: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidError):
        npm("http://127.0.0.1:1/").fetch(locator, tmp_path / "f", size_cap=CAP)


def test_the_registry_is_read_as_npm_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_userconfig", str(tmp_path / "npmrc"))
    monkeypatch.delenv("npm_config_registry", raising=False)
    (tmp_path / "npmrc").write_text("# mirror\nregistry=https://mirror.example/npm\n")
    assert npm_settings().registry == "https://mirror.example/npm/"
    monkeypatch.setenv("npm_config_registry", "https://other.example")
    assert npm_settings().registry == "https://other.example/"
    monkeypatch.setenv("npm_config_registry", "file:///etc")
    assert npm_settings().registry == "https://registry.npmjs.org/"


@pytest.mark.parametrize(
    "locator", ["http://example.org/a.tgz", "file:///etc/passwd", "https://", "https://a:b@c/d"]
)
def test_archives_come_over_https_alone(locator: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidError):
        WebFetcher().fetch(locator, tmp_path / "f", size_cap=CAP)


def commit_of(repository: Path) -> str:
    def git(*words: str) -> str:
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        done = subprocess.run(
            ["git", "-C", str(repository), *identity, *words],  # noqa: S607
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    repository.mkdir()
    git("init", "--quiet")
    git("config", "uploadpack.allowAnySHA1InWant", "true")
    (repository / "a.sh").write_text("echo a\n")
    (repository / "a.sh").chmod(0o755)
    (repository / ".gitattributes").write_text("a.sh export-ignore\nkept export-subst\n")
    (repository / "kept").write_text("$Format:%H$\n")
    (repository / "link").symlink_to("kept")
    git("add", "-A")
    git("commit", "--quiet", "-m", "first")
    return git("rev-parse", "HEAD")


def test_a_commit_is_the_same_archive_each_time_and_nothing_is_left_out_or_filled_in(
    tmp_path: Path,
) -> None:
    repository = tmp_path / "repository"
    commit = commit_of(repository)
    made = [tmp_path / "one.tar", tmp_path / "two.tar"]
    for target in made:
        write_tree(f"file://{repository}", commit, target, size_cap=CAP, protocol="file")
    assert made[0].read_bytes() == made[1].read_bytes()
    with tarfile.open(made[0]) as archive:
        members = {each.name: each for each in archive}
        assert set(members) == {".gitattributes", "a.sh", "kept", "link"}
        assert members["a.sh"].mode == 0o755
        assert members["link"].issym()
        kept = archive.extractfile("kept")
        assert kept is not None
        assert kept.read() == b"$Format:%H$\n"
        assert {each.mtime for each in members.values()} == {0}
    with pytest.raises(TooLargeError):
        write_tree(f"file://{repository}", commit, tmp_path / "s", size_cap=9, protocol="file")
    with pytest.raises(InvalidError):
        write_tree(f"file://{repository}", commit, tmp_path / "no", size_cap=CAP)


@pytest.mark.parametrize(
    "locator",
    [
        "https://example.org/r",
        "https://example.org/r@main",
        f"ssh://example.org/r@{'a' * 40}",
        f"--upload-pack=x@{'a' * 40}",
        f"https://example.org/-r@{'a' * 39}",
    ],
)
def test_only_a_whole_commit_over_https_is_fetched(locator: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidError):
        GitFetcher().fetch(locator, tmp_path / "f", size_cap=CAP)


def test_a_fallback_is_asked_when_the_first_origin_is_gone(registry: str, tmp_path: Path) -> None:
    sources = CachedSources(tmp_path / "cache", origins={"npm": npm(registry)})
    content = b"plain/-/plain-1.0.0.tgz"
    digest = hashlib.sha256(content).hexdigest()
    with pytest.raises(UnavailableError):
        sources.fetch("npm:plain@0.9.0", digest)
    assert sources.fetch("npm:plain@1.0.0", digest).read_bytes() == content
