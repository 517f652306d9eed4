"""Sequencers in processes of their own, run by tests: one that is killed, and ones that race.

    sequencer_process.py killed DATABASE HOME   kills a sequencer at each of its writes in turn
    sequencer_process.py racing DATABASE HOME   publishes twenty instants beside others who do

Both end with 0 and print how far they came, or say what was wrong.
"""

from __future__ import annotations

import os
import pathlib
import signal
import sys
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, event

from clearhold.adapters.clock_system import SystemClock
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.adapters.keys_file import FileKeyRing
from clearhold.assembly.keys import log_padding, log_signer
from clearhold.ledger import audit, public_log
from clearhold.ledger.files import LogFiles
from clearhold.ledger.model import Cadence
from clearhold.ledger.public_log import PublicLog
from clearhold.ledger.sequencer import Sequencer
from clearhold.settings import Settings
from clearhold.store.database import open_engine, snapshot
from clearhold.store.unit_of_work import Sessions
from clearhold.wire.signed_note import open_checkpoint

BEGIN = datetime(2026, 6, 5, 12, tzinfo=UTC)
QUANTUM = 100
CADENCE = Cadence(timedelta(minutes=1), QUANTUM)


class Log:
    def __init__(self, address: str, home: pathlib.Path) -> None:
        settings = Settings(data_directory=home / "data", key_directory=home / "keys")
        ring = FileKeyRing(
            settings.key_directory / "ring.json", data_directory=settings.data_directory
        )
        self.database = open_engine(address)
        self.files = LogFiles(settings.log_directory)
        self.signer = log_signer(settings)
        self.padding = log_padding(ring)
        self.public = PublicLog(self.files.read, self.signer.verifier)
        self.sequencer = Sequencer(
            self.database,
            self.files,
            signer=self.signer,
            padding=self.padding,
            cadence=CADENCE,
            clock=SystemClock(),
        )

    def write(self, count: int) -> None:
        clock = SystemClock()
        sessions = Sessions(self.database, clock=clock, engine=MemoryEngine(clock))
        for number in range(count):
            with sessions.transaction() as unit:
                unit.record("t:t:do", actor="a", subject=str(number), compartment="c")

    def check(self) -> int:
        """The published size, once everything is found intact."""
        with snapshot(self.database) as connection:
            report = audit.verify(connection, padding=self.padding, log=self.public)
        assert report.intact, report.faults
        note = self.files.checkpoint()
        if note is None:
            return 0
        outside = public_log.verify(self.public)
        assert outside.intact, outside.faults
        return outside.size


def say(*facts: object) -> None:
    sys.stdout.write(" ".join(map(str, facts)) + "\n")
    sys.stdout.flush()


def die_at(write: int, database: Engine) -> None:
    """Kill this process right before its given write: to a file, its name, or the database."""
    left = write

    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sync, replace = os.fsync, pathlib.Path.replace

    def counted_sync(descriptor: int) -> None:
        count()
        sync(descriptor)

    def counted_replace(path: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
        count()
        return replace(path, target)

    os.fsync = counted_sync
    pathlib.Path.replace = counted_replace  # type: ignore[method-assign,assignment]
    event.listen(database, "commit", count)


def killed(address: str, home: pathlib.Path) -> None:
    turn, seen = 0, None
    while True:  # from a whole log each time, so that every write is the last one once
        turn += 1
        log = Log(address, home)
        log.write(3)
        log.database.dispose()
        child = os.fork()
        if child == 0:
            mine = Log(address, home)
            die_at(turn, mine.database)
            mine.sequencer.integrate()
            mine.sequencer.publish(BEGIN + 2 * turn * CADENCE.interval)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        log = Log(address, home)
        assert log.check() % QUANTUM == 0
        if seen is not None:
            outside = public_log.verify(log.public, since=seen)
            assert outside.intact, outside.faults
        log.sequencer.integrate()
        assert log.sequencer.publish(BEGIN + (2 * turn + 1) * CADENCE.interval)
        seen = log.files.checkpoint()
        log.database.dispose()
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            say(turn - 1, log.check())
            return
        assert os.WTERMSIG(status) == signal.SIGKILL


def racing(address: str, home: pathlib.Path) -> None:
    log, shown = Log(address, home), []
    say("ready")
    sys.stdin.readline()
    for instant in range(20):
        log.write(2)
        log.sequencer.integrate()
        if log.sequencer.publish(BEGIN + instant * CADENCE.interval):
            shown.append(log.files.checkpoint())
    sizes = [open_checkpoint(note, log.signer.verifier).size for note in shown if note]
    assert sizes == sorted(set(sizes))
    say(len(shown))


if __name__ == "__main__":
    {"killed": killed, "racing": racing}[sys.argv[1]](sys.argv[2], pathlib.Path(sys.argv[3]))
