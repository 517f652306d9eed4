"""Runs inside the sandbox: runs a command to its end, and then lists all files that it has left.

Delivered into the sandbox as a file, so it uses the standard library alone. Called with the
hub's namespace of processes, the directories to look into, separated by colons, and the command; it
ends as the command did. The list is `/out/leavings.json`: of each place what is known of it by name. What the command leaves running is
killed first, so that nothing changes what is being listed. Archives (ZIP, tar) are listed by their
members too. Times that lie within the run are told as `now`: they say nothing.
"""

from __future__ import annotations

import calendar
import contextlib
import gzip
import hashlib
import io
import json
import os
import signal
import stat
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

ANSWER = Path("/out/leavings.json")
PRELOAD = "LEAVINGS_PRELOAD"
MOST_PLACES = 4000
MOST_MEMBERS = 1000
MOST_BYTES = 64 << 20
LARGEST = 16 << 20
NEAR_S = 300.0
PATIENCE_S = 5.0
LEFT_OUT = frozenset({"__pycache__", ".pytest_cache", "leavings.json", "observed.json"})
PROGRAMS = (b"\x7fELF", b"!<arch>\n")
"""Compiled programs hold the code that is compared, and are no answer of it."""

Facts = dict[str, str]


def alone() -> None:
    """Kill every other process of the sandbox but its first, and wait until they are gone."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            return
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.001)
    sys.exit("what lists files was not left alone")


class Listing:
    """What was left, place by place; `whole` is False once a bound was met."""

    def __init__(self, began: float) -> None:
        self.began = began
        self.places: dict[str, Facts] = {}
        self.read = 0
        self.whole = True

    def when(self, moment: float) -> str:
        """A time in whole seconds of the epoch, or `now`."""
        near = self.began - NEAR_S <= moment <= time.time() + NEAR_S
        return "now" if near else str(int(moment))

    def take(self, root: Path) -> None:
        """List everything below a directory."""
        for path in self._below(root):
            if len(self.places) >= MOST_PLACES:
                self.whole = False
                return
            with contextlib.suppress(OSError):
                self.places[plain(str(path))] = self._facts(path)

    def _below(self, root: Path) -> Iterator[Path]:
        for directory, names, files in os.walk(root):
            names[:] = sorted(name for name in names if name not in LEFT_OUT)
            for name in [*names, *sorted(files)]:
                if name not in LEFT_OUT and not name.endswith(".pyc"):
                    yield Path(directory, name)

    def _facts(self, path: Path) -> Facts:
        seen = path.lstat()
        facts = {"mode": oct(stat.S_IMODE(seen.st_mode))}
        if stat.S_ISLNK(seen.st_mode):
            return {"kind": "link", "target": os.fsencode(path.readlink()).decode("latin-1")[:400]}
        if stat.S_ISDIR(seen.st_mode):
            return {"kind": "directory", **facts}
        if not stat.S_ISREG(seen.st_mode):
            return {"kind": "special", **facts}
        facts |= {"kind": "file", "time": self.when(seen.st_mtime)}
        if seen.st_size > LARGEST or self.read + seen.st_size > MOST_BYTES:
            self.whole = False
            return facts | {"size": str(seen.st_size)}
        if not seen.st_mode & stat.S_IRUSR:
            path.chmod(0o600)
        content = path.read_bytes()
        self.read += len(content)
        if content.startswith(PROGRAMS):
            return {"kind": "program"}
        self._members(path, content)
        return facts | {"size": str(len(content)), "content": digest(content)}

    def _members(self, path: Path, content: bytes) -> None:
        """The members of an archive, each as a place of its own; what is none has none."""
        name = plain(str(path))
        try:
            if content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
                members = self._zipped(content)
            else:
                members = self._tarred(content)
            self.places |= {f"{name}!{member}": facts for member, facts in members.items()}
        except Exception:  # noqa: BLE001, S110 (a broken archive is compared as the file it is)
            pass

    def _zipped(self, content: bytes) -> dict[str, Facts]:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if len(entries) > MOST_MEMBERS:
                self.whole = False
            return {
                plain(entry.filename): {
                    "size": str(entry.file_size),
                    "content": f"crc {entry.CRC:08x}",
                    "time": self.when(calendar.timegm((*entry.date_time, 0, 0, 0))),
                    "mode": oct(entry.external_attr >> 16),
                    "compression": str(entry.compress_type),
                    "comment": digest(entry.comment),
                    "order": str(number),
                }
                for number, entry in enumerate(entries[:MOST_MEMBERS])
            }

    def _tarred(self, content: bytes) -> dict[str, Facts]:
        if content.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
                inner = packed.read(LARGEST + 1)
                members = {"(unpacked)": {"size": str(len(inner)), "content": digest(inner)}}
                if packed.mtime:
                    members["(unpacked)"]["time"] = self.when(packed.mtime)
        elif content.startswith((b"BZh", b"\xfd7zXZ")) or content[257:262] == b"ustar":
            inner, members = content, {}
        else:
            return {}
        with contextlib.suppress(tarfile.TarError), tarfile.open(fileobj=io.BytesIO(inner)) as tar:
            for number, entry in enumerate(tar):
                self.read += entry.size
                if number >= MOST_MEMBERS or self.read > MOST_BYTES:
                    self.whole = False
                    break
                held = tar.extractfile(entry) if entry.isreg() else None
                members[plain(entry.name)] = {
                    "size": str(entry.size),
                    "content": "" if held is None else digest(held.read(LARGEST)),
                    "time": self.when(entry.mtime),
                    "mode": oct(entry.mode),
                    "kind": entry.type.decode("latin-1"),
                    "target": plain(entry.linkname),
                    "owner": plain(f"{entry.uid}:{entry.gid} {entry.uname}:{entry.gname}"),
                    "order": str(number),
                }
        return members


def plain(text: str) -> str:
    """Text that can be written down, whatever bytes a name is made of."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def main() -> None:
    """Run the command, list what it left, and end as it did."""
    hub, roots, *argv = sys.argv[1:]
    if os.readlink("/proc/self/ns/pid") == hub:  # noqa: PTH115 (before anything else is trusted)
        sys.exit("what lists files runs in a sandbox only")
    env = dict(os.environ)
    preload = env.pop(PRELOAD, "")
    began = time.time()
    ran = subprocess.run(argv, env=env | ({"LD_PRELOAD": preload} if preload else {}), check=False)
    alone()
    listing = Listing(began)
    for root in roots.split(":"):
        listing.take(Path(root))
    ANSWER.parent.chmod(0o755)
    with contextlib.suppress(OSError):
        ANSWER.unlink()
    ANSWER.write_text(json.dumps({"whole": listing.whole, "places": listing.places}), "utf-8")
    if ran.returncode < 0:
        signal.signal(
            -ran.returncode, signal.SIG_DFL
        ) if -ran.returncode != signal.SIGKILL else None
        os.kill(os.getpid(), -ran.returncode)
    sys.exit(ran.returncode)


if __name__ == "__main__":
    main()
