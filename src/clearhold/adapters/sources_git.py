"""A commit's tree from a Git repository, as a tar archive that is the same bytes everywhere.

Git fetches one commit over https into an empty bare repository, without hooks, configuration of the
machine, credentials or any file being checked out, and `git archive` writes its tree. Attributes
that would leave files out or fill in keywords are not applied, and names and times are constant.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from clearhold.kernel.errors import InvalidError, TooLargeError, UnavailableError

_LOCATOR = re.compile(r"(https://[A-Za-z0-9.-]+(?::[0-9]+)?/[A-Za-z0-9._/~-]+)@([0-9a-f]{40})")
_TIMEOUT_S = 300


class GitFetcher:
    """`ports.sources.Fetcher` for locators `https://HOST/PATH@COMMIT`, the commit in full."""

    def fetch(self, locator: str, target: Path, *, size_cap: int) -> None:
        """Write the tree of the commit to `target`."""
        match = _LOCATOR.fullmatch(locator)
        if match is None:
            raise InvalidError(
                f"{locator[:200]!a} names no commit of a repository.",
                next_step="Write git:https://HOST/PATH@COMMIT with all 40 digits of the commit.",
            )
        if shutil.which("git") is None:
            raise UnavailableError(
                "The commit could not be fetched: this machine has no git.",
                next_step="Install git, or copy the file into the source cache.",
            )
        write_tree(match[1], match[2], target, size_cap=size_cap)


def write_tree(
    address: str, commit: str, target: Path, *, size_cap: int, protocol: str = "https"
) -> None:
    """Write the tree of a commit at `address` to `target`; git speaks `protocol` alone.

    Raises as `GitFetcher.fetch` does.
    """
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        bare = Path(scratch) / "bare"
        git = _Git(protocol)
        git.run(["init", "--quiet", "--bare", str(bare)], Path(scratch))
        git.run(["fetch", "--quiet", "--depth=1", "--no-tags", address, commit], bare)
        attributes = bare / "info" / "attributes"
        attributes.parent.mkdir(exist_ok=True)
        attributes.write_text("* -export-ignore -export-subst -text -eol -ident -filter\n")
        made = Path(scratch) / "made.tar"
        git.run(["archive", "--format=tar", f"--output={made}", f"{commit}^{{tree}}"], bare)
        if made.stat().st_size > size_cap:
            raise TooLargeError(
                f"The tree of {commit[:12]} is larger than {size_cap} bytes.",
                next_step="Raise the recipe's size limit if the size is right.",
            )
        _rewritten(made, target)


class _Git:
    """The machine's git, with nothing of the machine's or the user's configuration."""

    def __init__(self, protocol: str) -> None:
        kept = ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "SSL_CERT_FILE")
        self._environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": "/nonexistent",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": protocol,
            "GIT_TEMPLATE_DIR": "",
            "LC_ALL": "C",
            **{name: os.environ[name] for name in kept if name in os.environ},
        }

    def run(self, arguments: Sequence[str], directory: Path) -> None:
        """Run a command in `directory`; raises `UnavailableError` when it fails."""
        settings = (
            "core.hooksPath=/dev/null",
            "credential.helper=",
            "http.followRedirects=initial",
        )
        options = [word for each in settings for word in ("-c", each)]
        try:
            done = subprocess.run(
                ["git", *options, *arguments],  # noqa: S607 - the machine's own git
                cwd=directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnavailableError(
                f"git did not finish ({type(error).__name__}).", next_step="Check the network."
            ) from error
        if done.returncode != 0:
            last = done.stderr.strip().splitlines()[-1:] or ["no message"]
            raise UnavailableError(
                f"git {arguments[0]} failed: {ascii(last[0][:200])[1:-1]}",
                next_step="Check the network, and that the server gives single commits.",
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
