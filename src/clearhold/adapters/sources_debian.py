"""Published Debian source files by exact version, from the archives apt is configured for.

Works as an ordinary user: apt keeps its lists in a directory of ours and reads source entries
derived from the machine's own. apt checks the archive's signatures; the caller checks the hash.
Nothing is unpacked or run.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from clearhold.kernel.errors import InvalidError, NotFoundError, TooLargeError, UnavailableError

_LOCATOR = re.compile(r"([a-z0-9][a-z0-9.+-]+)=([A-Za-z0-9.+~:-]+):([A-Za-z0-9][A-Za-z0-9.+~_-]*)")
_APT_TIMEOUT_S = 180


class DebianFetcher:
    """`ports.sources.Fetcher` for locators `SOURCE=VERSION:FILENAME`.

    `state` is a directory of ours for apt's lists; `configuration` is where the machine's apt
    keeps its sources.
    """

    def __init__(self, state: Path, *, configuration: Path = Path("/etc/apt")) -> None:
        self._state = state
        self._configuration = configuration

    def fetch(self, locator: str, target: Path, *, size_cap: int) -> None:
        """Write the named file of the named source package to `target`."""
        match = _LOCATOR.fullmatch(locator)
        if match is None:
            raise InvalidError(
                f"{locator!r} names no Debian source file.",
                next_step="Write SOURCE=VERSION:FILENAME.",
            )
        source, version, filename = match.groups()
        if shutil.which("apt-get") is None:
            raise UnavailableError(
                f"{filename} could not be fetched: this machine has no apt-get.",
                next_step="Fetch Debian sources on a Debian machine and copy the source cache.",
            )
        download = self._state / "download"
        shutil.rmtree(download, ignore_errors=True)
        download.mkdir(parents=True)
        listed = self._listing(source, version)
        if filename not in listed:
            self._apt("update")
            listed = self._listing(source, version)
        if filename not in listed:
            raise UnavailableError(
                f"{filename} could not be fetched: no configured archive has {source} {version}.",
                next_step="Exact versions leave Debian's archives; use a snapshot archive entry.",
            )
        if listed[filename] > size_cap:
            raise TooLargeError(
                f"{filename} is larger than {size_cap} bytes.",
                next_step="Raise the recipe's size limit if the size is right.",
            )
        self._apt("--download-only", "source", f"{source}={version}", cwd=download)
        arrived = download / filename
        if not arrived.is_file():
            raise UnavailableError(
                f"{filename} could not be fetched: apt did not bring it.",
                next_step="Check the network and run `apt-get update`.",
            )
        shutil.copyfile(arrived, target)
        shutil.rmtree(download, ignore_errors=True)

    def versions(self, source: str) -> dict[str, tuple[str, ...]]:
        """The versions of a source package in the configured archives, with their file names.

        Raises `NotFoundError` when there is none, and as `fetch` does.
        """
        if re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", source) and shutil.which("apt-cache") is not None:
            self._apt("update")
            printed = self._apt("showsrc", "--only-source", source, check=False, tool="apt-cache")
            found = {}
            for paragraph in printed.split("\n\n"):
                version = re.search(r"^Version: (\S+)$", paragraph, re.MULTILINE)
                hashes = re.search(r"^Checksums-Sha256:\n((?: .*\n?)+)", paragraph, re.MULTILINE)
                if version is not None and hashes is not None:
                    files = re.findall(r"^ [0-9a-f]{64} \d+ (\S+)$", hashes[1], re.MULTILINE)
                    found[version[1]] = tuple(files)
            if found:
                return found
        raise NotFoundError(
            f"No configured archive has a source package {source[:100]!a}.",
            next_step="Check the name and the machine's apt sources.",
        )

    def _listing(self, source: str, version: str) -> dict[str, int]:
        """File names and sizes in bytes of one source package; empty when apt knows none."""
        printed = self._apt("--print-uris", "source", f"{source}={version}", check=False)
        found = re.findall(r"^'[^']+' (\S+) (\d+)", printed, flags=re.MULTILINE)
        return {name: int(size) for name, size in found}

    def _apt(
        self,
        *arguments: str,
        cwd: Path | None = None,
        check: bool = True,
        tool: str = "apt-get",
    ) -> str:
        lists = self._state / "lists"
        (lists / "partial").mkdir(parents=True, exist_ok=True)
        entries = self._state / "sources"
        _write_source_entries(self._configuration, entries)
        options = {
            "Dir::Etc::SourceList": "/dev/null",
            "Dir::Etc::SourceParts": str(entries),
            "Dir::State::Lists": str(lists),
            "Dir::Cache": str(self._state / "cache"),
            "APT::Sandbox::User": "",
            "Acquire::Retries": "2",
            "Acquire::Languages": "none",
        }
        (self._state / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
        settings = [piece for name, value in options.items() for piece in ("-o", f"{name}={value}")]
        try:
            done = subprocess.run(
                [tool, "-q", *settings, *arguments],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_APT_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnavailableError(
                f"apt-get {arguments[0]} did not finish ({type(error).__name__}).",
                next_step="Check the network and the machine's apt sources.",
            ) from error
        if check and done.returncode != 0:
            last = done.stderr.strip().splitlines()[-1:] or ["no message"]
            raise UnavailableError(
                f"apt-get {arguments[0]} failed: {last[0][:200]}",
                next_step="Check the network and the machine's apt sources.",
            )
        return done.stdout


def _write_source_entries(configuration: Path, entries: Path) -> None:
    """Derive `deb-src` entries for every archive that the machine takes binaries from."""
    shutil.rmtree(entries, ignore_errors=True)
    entries.mkdir(parents=True)
    parts = configuration / "sources.list.d"
    files = [configuration / "sources.list", *sorted(parts.glob("*"))] if parts.is_dir() else []
    for number, path in enumerate(files or [configuration / "sources.list"]):
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".sources":
            text = re.sub(r"^Types:.*$", "Types: deb-src", text, flags=re.MULTILINE)
            name = f"{number:03d}.sources"
        else:
            lines = [re.sub(r"^deb\s", "deb-src ", line) for line in text.splitlines()]
            text = "\n".join(line for line in lines if line.startswith("deb-src")) + "\n"
            name = f"{number:03d}.list"
        (entries / name).write_text(text, encoding="utf-8")
