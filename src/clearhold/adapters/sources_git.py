"""A commit's tree from a Git repository, as a tar archive that is the same bytes everywhere.

Git fetches one commit over https into an empty bare repository, without hooks, configuration of the
machine, credentials, submodules or any file being checked out, and `git archive` writes its tree.
Attributes that would leave files out, filter them or fill in keywords are not applied, and names and
times are constant. Where git may ask is said in `git_ways`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Final

import certifi

from clearhold.adapters.git_ways import HTTPS, Way, is_address, way_to
from clearhold.adapters.guarded_address import Network
from clearhold.kernel.errors import InvalidError, TooLargeError, UnavailableError

_LOCATOR = re.compile(r"(.+)@([0-9a-f]{40})")
_TIMEOUT_S = 300
_SLACK: Final = 1 << 20
"""Bytes that a pack or an archive may have more than the files in it may."""
_MEMORY: Final = 2 << 30
_LONGEST_COMPLAINT: Final = 64 * 1024
_OLDEST: Final = (2, 37)
"""The release of git from which on it can be told the address of a host."""
_AUTHORITIES: Final = Path("/etc/ssl/certs/ca-certificates.crt")
_SETTINGS: Final = (
    "core.hooksPath=/dev/null",
    "credential.helper=",
    "fetch.unpackLimit=1",  # one pack, whose size is bounded, and not a file for each object
    "fetch.recurseSubmodules=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "http.followRedirects=false",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
)


class GitFetcher:
    """`ports.sources.Fetcher` for locators `https://HOST/PATH@COMMIT`, the commit in full.

    `also` are networks beside the public ones where repositories may lie.
    """

    def __init__(self, also: Sequence[Network] = ()) -> None:
        self._also = tuple(also)

    def fetch(self, locator: str, target: Path, *, size_cap: int) -> None:
        """Write the tree of the commit to `target`."""
        match = _LOCATOR.fullmatch(locator)
        if match is None or not is_address(match[1]):
            raise InvalidError(
                f"{locator[:200]!a} names no commit of a repository.",
                next_step="Write git:https://HOST/PATH@COMMIT with all 40 digits of the commit.",
            )
        write_tree(match[1], match[2], target, size_cap=size_cap, also=self._also)


def write_tree(
    address: str,
    commit: str,
    target: Path,
    *,
    size_cap: int,
    protocol: str = HTTPS,
    also: Sequence[Network] = (),
) -> None:
    """Write the tree of a commit at `address` to `target`; git speaks `protocol` alone.

    Raises as `GitFetcher.fetch` does.
    """
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        bare = Path(scratch) / "bare"
        git = Git(way_to(address, protocol=protocol, also=also), size_cap=size_cap)
        git.run(["init", "--quiet", "--bare", str(bare)], Path(scratch))
        git.run(["fetch", "--quiet", "--depth=1", "--no-tags", git.address, commit], bare)
        attributes = bare / "info" / "attributes"
        attributes.parent.mkdir(exist_ok=True)
        attributes.write_text("* -export-ignore -export-subst -text -eol -ident -filter\n")
        made = bare / "made.tar"
        git.run(["archive", "--format=tar", f"--output={made}", f"{commit}^{{tree}}"], bare)
        if made.stat().st_size > size_cap:
            raise _too_large(size_cap)
        _rewritten(made, target)


class Git:
    """The machine's git on one way, with nothing of the machine's or the user's configuration.

    A process of it may use 2 GB of memory and write files of `size_cap` bytes. Raises
    `UnavailableError` when there is no git, or an old one.
    """

    def __init__(self, way: Way, *, size_cap: int) -> None:
        if _version() < _OLDEST:
            raise UnavailableError(
                "This machine has no git of 2.37 or later to ask the repository with.",
                next_step="Install git, or copy the file into the source cache.",
            )
        self.address = way.address
        self._settings = (*_SETTINGS, *way.settings)
        self._size_cap = size_cap
        self._environment = _environment(way.protocol)

    def run(self, arguments: Sequence[str], directory: Path) -> None:
        """Run a command in `directory`; raises as `told` does."""
        self.told(arguments, directory, most=0)

    def told(self, arguments: Sequence[str], directory: Path, *, most: int) -> bytes:
        """What a command prints, cut to one byte more than `most`.

        What it prints goes into a file in `directory` of bounded size, not into memory. Raises
        `UnavailableError` when it fails, `TooLargeError` when it does with a file that is full.
        """
        with (
            tempfile.TemporaryFile(dir=directory) as printed,
            tempfile.TemporaryFile(dir=directory) as complaint,
        ):
            code = self._ran(arguments, directory, printed, complaint)
            full = self._size_cap + _SLACK
            if code != 0 and (
                os.fstat(printed.fileno()).st_size >= full
                or any(each.lstat().st_size >= full for each in directory.rglob("*"))
            ):
                raise _too_large(self._size_cap)
            for each in (printed, complaint):
                each.seek(0)
            if code != 0:
                said = complaint.read(_LONGEST_COMPLAINT).decode("utf-8", "replace").strip()
                last = said.splitlines()[-1:] or ["no message"]
                raise UnavailableError(
                    f"git {arguments[0]} failed: {ascii(last[0][:200])[1:-1]}",
                    next_step="Check the network, and that the server gives single commits.",
                )
            return printed.read(most + 1)

    def _ran(
        self, arguments: Sequence[str], directory: Path, printed: IO[bytes], complaint: IO[bytes]
    ) -> int:
        options = [word for each in self._settings for word in ("-c", each)]
        bounds = (
            "prlimit",
            f"--fsize={self._size_cap + _SLACK}",
            f"--as={_MEMORY}",
            f"--cpu={_TIMEOUT_S}",
            "--",
        )
        try:
            running = subprocess.Popen(
                [*bounds, "git", *options, *arguments],
                cwd=directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=complaint,
                start_new_session=True,  # git asks through children, which end with it
            )
        except OSError as error:
            raise _unfinished(error) from error
        with running:
            try:
                return running.wait(_TIMEOUT_S)
            except subprocess.TimeoutExpired as error:
                raise _unfinished(error) from error
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(running.pid, signal.SIGKILL)


def _environment(protocol: str) -> dict[str, str]:
    kept = ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY")
    trusted = os.environ.get("SSL_CERT_FILE") or ("" if _AUTHORITIES.exists() else certifi.where())
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": protocol,
        "GIT_TEMPLATE_DIR": "",
        "GIT_NO_LAZY_FETCH": "1",
        "LC_ALL": "C",
        **({"GIT_SSL_CAINFO": trusted} if trusted else {}),
        **{name: os.environ[name] for name in kept if name in os.environ},
    }


@cache
def _version() -> tuple[int, ...]:
    """The release of the machine's git, such as (2, 39); (0, 0) without one."""
    found = shutil.which("git")
    if found is None:
        return 0, 0
    told = subprocess.run([found, "--version"], capture_output=True, check=False).stdout
    match = re.match(rb"git version (\d+)\.(\d+)", told)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _too_large(size_cap: int) -> TooLargeError:
    return TooLargeError(
        f"What the repository gives is larger than {size_cap} bytes.",
        next_step="Raise the recipe's size limit if the size is right.",
    )


def _unfinished(error: Exception) -> UnavailableError:
    return UnavailableError(
        f"git did not finish ({type(error).__name__}).", next_step="Check the network."
    )


def _rewritten(made: Path, target: Path) -> None:
    """The archive once more in one fixed form, whatever release of git made it."""
    with (
        tarfile.open(made) as given,
        tarfile.open(target, "x", format=tarfile.USTAR_FORMAT) as out,
    ):
        for member in sorted(given.getmembers(), key=lambda each: each.name):
            if not (member.isdir() or member.isfile() or member.issym()):
                continue
            plain = tarfile.TarInfo(member.name)
            plain.type, plain.linkname, plain.size = member.type, member.linkname, member.size
            plain.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            out.addfile(plain, given.extractfile(member) if member.isfile() else None)
