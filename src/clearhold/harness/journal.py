"""What a run keeps as it goes: each trial as soon as it is done, so that a kill loses and repeats none.

In a run's folder lie `plan.json` (the plan's canonical bytes), `run.json` (what it is a run of),
`began.jsonl` (a line for each attempt at a trial), `trials.jsonl` (a line for each that ended),
`evidence/` (what a trial's digests are of; it may quote sealed tasks, and is for this machine's user
alone) and `logs/` (Inspect's, with what is sealed taken out).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from clearhold.evaluations.trial_calls import Evidence, GatewayCall
from clearhold.evaluations.trials import Flag, RecordedRun, Trial, read_one, record, write_one
from clearhold.harness.live import Finished, Key
from clearhold.kernel.errors import ConflictError, IntegrityError, InvalidError

MOST_ATTEMPTS: Final = 3
"""How often a trial is tried whose infrastructure broke, or whose worker was ended."""
_LONGEST_LINE: Final = 64 * 1024


class Began(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One attempt at a trial."""

    key: Key
    attempt: int


class Journal:
    """The folder of a run, held by one worker at a time. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "evidence").mkdir(mode=0o700, exist_ok=True)
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            os.close(self._lock)
            raise ConflictError(
                f"Another worker is at the run in {folder}.",
                next_step="Wait for it, or give this one a folder of its own.",
            ) from problem
        self._writing = threading.Lock()
        self.trials: dict[Key, Trial] = {}
        self.attempts: Counter[Key] = Counter()
        for line in self._lines("trials.jsonl"):
            trial = read_one(line)
            self.trials[_key(trial)] = trial
        for line in self._lines("began.jsonl"):
            self.attempts[msgspec.json.decode(line, type=Began).key] += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let another worker have it."""
        os.close(self._lock)

    def fix(self, name: str, content: bytes) -> None:
        """Keep a file for good; raises `ConflictError` when it is there and says something else."""
        place = self.folder / name
        if place.exists():
            if place.read_bytes() != content:
                raise ConflictError(
                    f"The run in {self.folder} is of another {name.removesuffix('.json')}.",
                    next_step="Give what it began with, or a folder of its own.",
                )
            return
        self._write(place, content)

    def began(self, key: Key) -> None:
        """Note that a trial is tried."""
        with self._writing:
            self.attempts[key] += 1
            self._append("began.jsonl", msgspec.json.encode(Began(key, self.attempts[key])) + b"\n")

    def keep(self, finished: Finished) -> None:
        """Keep a trial that ended: its evidence first, then the line that names it."""
        trial = finished.trial
        with self._writing:
            place = self.folder / "evidence" / f"{trial.log_sha256}.json"
            self._write(place, finished.evidence)
            self._append("trials.jsonl", write_one(trial))
            self.trials[_key(trial)] = trial

    def is_done(self, key: Key) -> bool:
        """Whether nothing more is to be tried: it has a result, or broke too often."""
        trial = self.trials.get(key)
        if trial is None:
            return False
        return Flag.INFRASTRUCTURE not in trial.flags or self.attempts[key] >= MOST_ATTEMPTS

    def is_spent(self, key: Key) -> bool:
        """Whether a trial was begun as often as may be and never ended.

        Who ends the worker whenever a trial goes wrong must not have as many trials as they like.
        """
        return key not in self.trials and self.attempts[key] >= MOST_ATTEMPTS

    def _lines(self, name: str) -> list[bytes]:
        """Whole lines; what a kill left of the last one is cut off, since it was never kept."""
        place = self.folder / name
        if not place.exists():
            return []
        content = place.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(place, whole)
        lines = content[:whole].splitlines()
        if any(len(each) > _LONGEST_LINE for each in lines):
            raise InvalidError(f"{place} is no journal of a run.")
        return lines

    def _append(self, name: str, line: bytes) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        fd = os.open(self.folder / name, flags, 0o600)
        try:
            os.write(fd, line)
            os.fsync(fd)
        finally:
            os.close(fd)

    def _write(self, place: Path, content: bytes) -> None:
        part = place.with_name(f".{place.name}.part")
        with part.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(place)


def trials(folder: Path) -> RecordedRun:
    """The trials that a folder holds, as the document that estimates are made from."""
    with Journal(folder) as journal:
        about = msgspec.json.decode((folder / "run.json").read_bytes())
        return record(
            journal.trials.values(),
            engagement=about["engagement"],
            plan_sha256=about["plan_sha256"],
            model=about["model"],
            harness=about["harness"],
        )


def named_calls(folder: Path, trial: Trial) -> tuple[GatewayCall, ...]:
    """The calls of a gateway's that a trial names in its evidence.

    Raises `IntegrityError` when the evidence is not there, is not what the trial's digest is of, or
    is another trial's: who names one evidence in two trials would have made its calls once.
    """
    place = folder / "evidence" / f"{trial.log_sha256}.json"
    try:
        content = place.read_bytes()
        found = msgspec.json.decode(content, type=Evidence)
    except (OSError, msgspec.DecodeError) as problem:
        raise IntegrityError(f"{place} is not there, or is no evidence of a trial.") from problem
    if hashlib.sha256(content).hexdigest() != trial.log_sha256:
        raise IntegrityError(f"{place} was changed since its trial was recorded.")
    if msgspec.structs.astuple(found.key) != trial.key:
        raise IntegrityError(f"{place} is the evidence of another trial.")
    return found.gateway_calls


def counts(trials: Mapping[Key, Trial]) -> Counter[str]:
    """How many trials came to which outcome."""
    return Counter(each.outcome.value for each in trials.values())


def _key(trial: Trial) -> Key:
    return Key(*trial.key)
