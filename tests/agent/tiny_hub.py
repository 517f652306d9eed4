"""A tiny hub and a tiny environment: a repository on disk and wheels made by hand."""

import base64
import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from clearhold.adapters.publisher_tuf import TufPublisher
from clearhold.wire.bundle import (
    Affected,
    Bundle,
    Ending,
    Entry,
    Probe,
    Range,
    Remedy,
    target_of,
    target_path,
    write,
)

START = datetime(2026, 6, 5, 12, tzinfo=UTC)
ADVISORY = "CLEAR-2026-0001"
PROBE = b"import parrot, sys\nsys.exit(7 if parrot.say('x') == 'xx' else 0)\n"
WHEEL = "parrot-2.0-py3-none-any.whl"


class StillClock:
    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time

    def advance(self, **by: float) -> None:
        self.time += timedelta(**by)


def wheel(
    name: str = "parrot",
    version: str = "2.0",
    *,
    files: Mapping[str, bytes] | None = None,
    metadata: str = "",
    inner: str | None = None,
) -> bytes:
    """A pure-Python wheel; `inner` overrides the name its METADATA gives."""
    stem = f"{name}-{version}.dist-info"
    content = dict(files if files is not None else {f"{name}.py": source(version)})
    content[f"{stem}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {inner or name}\nVersion: {version}\n{metadata}\n".encode()
    )
    content[f"{stem}/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    content[f"{stem}/RECORD"] = record(content, f"{stem}/RECORD")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, data in content.items():
            archive.writestr(zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0)), data)
    return buffer.getvalue()


def record(content: Mapping[str, bytes], itself: str) -> bytes:
    lines = []
    for path, data in content.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(data)}")
    return ("\n".join([*lines, f"{itself},,"]) + "\n").encode()


def source(version: str) -> bytes:
    """Version 1 says everything twice, which is the flaw."""
    return b"def say(text):\n    return text%s\n" % (b" * 2" if version.startswith("1") else b"")


def install(environment: Path, data: bytes) -> None:
    """Lay a wheel of plain modules down as an installer would."""
    site = next((environment / "lib").glob("python3*")) / "site-packages"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(site)


def site_of(environment: Path) -> Path:
    return next((environment / "lib").glob("python3*")) / "site-packages"


def snapshot(environment: Path) -> dict[str, bytes]:
    """Every file of an environment with its content."""
    return {
        str(path.relative_to(environment)): path.read_bytes()
        for path in sorted(environment.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def entry(artefact: bytes, *, path: str = f"patches/case-1/{WHEEL}", version: str = "2.0") -> Entry:
    return Entry(
        id=ADVISORY,
        revision=1,
        summary="parrot repeats what it is told",
        published=START,
        affected=(
            Affected(package="pkg:pypi/parrot", ranges=(Range(introduced="1.0", fixed="2.0"),)),
        ),
        remedies=(
            Remedy(package=f"pkg:pypi/parrot@{version}", artefact=target_of(path, artefact)),
        ),
        probes=(
            Probe(
                package="pkg:pypi/parrot",
                argv=("{python}", "/in/probe.py"),
                files={"/in/probe.py": target_of("patches/case-1/probe.py", PROBE)},
                works=Ending(exit_codes=(7,)),
                clean=Ending(exit_codes=(0,)),
            ),
        ),
    )


@dataclass
class TinyHub:
    place: Path
    publisher: TufPublisher
    number: int = 0
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def repository(self) -> Path:
        return self.place / "repository"

    def release(self, artefact: bytes | None = None, *, now: datetime = START, **how: str) -> Entry:
        data = wheel() if artefact is None else artefact
        advisory = entry(data, **how)
        self.number += 1
        bundle = Bundle(number=self.number, issued=now, advisories=(advisory,))
        self.files = {
            advisory.remedies[0].artefact.path: data,
            "patches/case-1/probe.py": PROBE,
            target_path(self.number): write(bundle),
        }
        self.publisher.publish(self.files, now)
        return advisory
