"""Repositories are asked over https where they may lie, and no server leads git anywhere else."""

from __future__ import annotations

import http.server
import os
import socket
import ssl
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path

import pytest

from clearhold.adapters import sources_git
from clearhold.adapters.git_refs import GitRepositories
from clearhold.adapters.git_ways import is_address
from clearhold.adapters.sources_git import GitFetcher
from clearhold.kernel.errors import InvalidError, TooLargeError, UnavailableError
from own_certificates import HOST, certify

OWN = (ip_network("127.0.0.0/8"),)
CAP = 1 << 20
MAIN = "refs/heads/main"
HOSTILE = (MAIN, "refs/heads/a\x1b[2J", "refs/heads/../../b", "refs/heads/c\u202ed", "--exec=e")


@dataclass
class Server:
    """Git's own server behind https on the loopback interface, by the name of the certificate."""

    root: Path
    port: int = 0
    seen: list[tuple[str, str]] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)

    def address(self, name: str) -> str:
        return f"https://{HOST}:{self.port}/{name}"

    def git(self, *words: str) -> str:
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        done = subprocess.run(
            ["git", "-C", str(self.root / "repository.git"), *identity, *words],  # noqa: S607
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def commit(self, files: dict[str, bytes]) -> str:
        for name, content in files.items():
            (self.root / "repository.git" / name).write_bytes(content)
        self.git("add", "-A")
        self.git("commit", "--quiet", "-m", "more")
        return self.git("rev-parse", "HEAD")


def handler(running: Server) -> type[http.server.BaseHTTPRequestHandler]:
    redirects = {
        "/moved": "/repository.git",
        "/loop": "/loop",
        "/elsewhere": "https://other.example/repository.git",
        "/inside": "https://127.0.0.1:1/repository.git",
        "/plainly": f"http://{HOST}/repository.git",
        "/file": "file:///etc/passwd#",
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            running.seen.append((self.headers["Host"], path))
            running.secrets += [
                each for each in ("Authorization", "Cookie") if each in self.headers
            ]
            place = path.removesuffix("/info/refs")
            if place in redirects:
                self._answer("302 Moved", {"Location": f"{redirects[place]}/info/refs?{query}"})
            elif place == "/page":
                self._answer("200 OK", {"Content-Type": "text/html"}, b"<title>git</title>")
            elif place == "/hostile":
                self._answer("200 OK", {"Content-Type": TOLD}, advertised("1" * 40))
            else:
                self._by_git(path, query)

        def do_POST(self) -> None:
            self.do_GET()

        def _by_git(self, path: str, query: str) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            environment = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(running.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(length),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }
            done = subprocess.run(
                ["git", "http-backend"],  # noqa: S607
                env=environment,
                input=self.rfile.read(length),
                capture_output=True,
                check=False,
            )
            head, _, body = done.stdout.partition(b"\r\n\r\n")
            lines = (each.partition(": ") for each in head.decode().splitlines())
            told = {name: value for name, _, value in lines}
            self._answer(told.pop("Status", "200 OK"), told, body)

        def _answer(self, status: str, headers: dict[str, str], body: bytes = b"") -> None:
            self.send_response(int(status[:3]))
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: object) -> None:
            pass

    return Handler


TOLD = "application/x-git-upload-pack-advertisement"


def advertised(commit: str) -> bytes:
    """What a server answers that names refs as it likes."""
    names = [f"{commit} {each}" for each in HOSTILE]
    lines = ["# service=git-upload-pack\n", "", f"{names[0]}\0agent=x\n"]
    lines += [f"{each}\n" for each in names[1:]] + [""]
    packed = (each.encode() for each in lines)
    return b"".join(b"%04x%s" % (len(each) + 4, each) if each else b"0000" for each in packed)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("served")
    certificate, key = certify(root)
    server = Server(root)
    (root / "repository.git").mkdir()
    server.git("init", "--quiet", "--initial-branch=main")
    server.git("config", "uploadpack.allowAnySHA1InWant", "true")
    server.git("config", "uploadpack.allowFilter", "true")
    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(server))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    server.port = listening.server_address[1]
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    yield server
    listening.shutdown()
    thread.join()
    listening.server_close()


@pytest.fixture
def server(running: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server, trusted, by a name that this process alone can look up: git must be told."""
    looked_up = socket.getaddrinfo

    def here(host: str, *rest: object, **options: object) -> object:
        return looked_up("127.0.0.1" if host == HOST else host, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", here)
    monkeypatch.setenv("SSL_CERT_FILE", str(running.root / "cert.pem"))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    running.seen.clear()
    return running


def test_commits_are_told_compared_and_fetched_over_https(server: Server, tmp_path: Path) -> None:
    before = server.commit({"a.c": b"int a;\n", "b.c": b"int b;\n"})
    after = server.commit({"b.c": b"int c;\n"})
    repositories = GitRepositories(also=OWN)
    for name in ("repository.git", "moved"):
        address = server.address(name)
        assert repositories.heads(address, MAIN) == {MAIN: after}
        assert repositories.changed(address, before, after) == ("b.c",)
        target = tmp_path / name
        GitFetcher(OWN).fetch(f"{address}@{before}", target, size_cap=CAP)
        with tarfile.open(target) as archive:
            assert archive.extractfile("b.c").read() == b"int b;\n"  # type: ignore[union-attr]
    assert {host for host, _ in server.seen} == {f"{HOST}:{server.port}"}
    assert server.secrets == []


def test_what_git_fetches_runs_no_hook_filter_or_submodule(server: Server, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    (server.root / "repository.git" / ".gitmodules").write_text(
        f'[submodule "m"]\n\tpath = m\n\turl = {server.address("other.git")}\n'
    )
    server.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},m")
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    attributes = b"*.bin filter=lfs diff=lfs export-subst\n* export-ignore\n"
    commit = server.commit({"x.bin": pointer, ".gitattributes": attributes})
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".gitconfig").write_text(
        f'[filter "lfs"]\n\tsmudge = touch {touched}\n[core]\n\thooksPath = {tmp_path}\n'
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HOME", str(tmp_path / "home"))
        GitFetcher(OWN).fetch(
            f"{server.address('repository.git')}@{commit}", tmp_path / "made", size_cap=CAP
        )
    with tarfile.open(tmp_path / "made") as archive:
        assert archive.extractfile("x.bin").read() == pointer  # type: ignore[union-attr]
    assert not touched.exists()
    assert not any("other.git" in path for _, path in server.seen)


def test_a_repository_lies_at_a_public_address_or_in_a_network_that_is_named(
    server: Server, tmp_path: Path
) -> None:
    commit = "1" * 40
    private = ("127.0.0.1", "10.1.2.3", "169.254.169.254", "2130706433", "0x7f.1", "localhost")
    for host in (HOST, *private):
        address = f"https://{host}:{server.port}/repository.git"
        with pytest.raises(InvalidError, match="may not be asked"):
            GitRepositories().heads(address, MAIN)
        with pytest.raises(InvalidError, match="may not be asked"):
            GitFetcher().fetch(f"{address}@{commit}", tmp_path / "f", size_cap=CAP)
    assert server.seen == []
    for odd in ("https://example.org./r", "https://a:b@c/r", "https://[::1]/r", "https://-x/r"):
        assert not is_address(odd)


@pytest.mark.parametrize("name", ["elsewhere", "inside", "plainly", "file", "loop"])
def test_a_redirect_is_followed_on_the_same_server_alone(server: Server, name: str) -> None:
    with pytest.raises(UnavailableError, match="it redirects"):
        GitRepositories(also=OWN).heads(server.address(name), MAIN)
    assert {path for _, path in server.seen} == {f"/{name}/info/refs"}


def test_what_is_no_repository_is_told_and_not_asked_further(server: Server) -> None:
    repositories = GitRepositories(also=OWN)
    for name in ("page", "none.git"):
        with pytest.raises(UnavailableError, match="No repository is at"):
            repositories.heads(server.address(name), MAIN)
    assert len(server.seen) == 2


def test_refs_that_are_named_to_deceive_are_left_out(server: Server) -> None:
    found = GitRepositories(also=OWN).heads(server.address("hostile"), "refs/heads/*")
    assert found == {MAIN: "1" * 40}


def test_a_commit_larger_than_its_bound_is_not_fetched_in_full(
    server: Server, tmp_path: Path
) -> None:
    commit = server.commit({"large": os.urandom(3 * CAP)})
    unpacked = server.commit({"large": bytes(3 * CAP)})
    for each in (commit, unpacked):
        with pytest.raises(TooLargeError):
            GitFetcher(OWN).fetch(
                f"{server.address('repository.git')}@{each}", tmp_path / each, size_cap=CAP
            )
    assert list(tmp_path.iterdir()) == []


def test_an_old_git_is_not_asked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources_git, "_version", lambda: (2, 30))
    with pytest.raises(UnavailableError, match=r"2\.37"):
        GitRepositories(also=OWN).heads(server.address("repository.git"), MAIN)
