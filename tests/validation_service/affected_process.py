"""A process that replays one finding over releases with a slow examiner, for a test to kill.

python affected_process.py DATABASE-URL DIRECTORY FINDING SECONDS [queue]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from dbos import DBOS
from standing_examiner import StandIn, replayed

from clearhold.adapters.clock_system import SystemClock
from clearhold.adapters.engine_dbos import DbosEngine
from clearhold.assembly.hub import assemble
from clearhold.kernel.ids import FindingId
from clearhold.settings import Settings
from clearhold.store.database import open_engine
from clearhold.validation import affecting
from clearhold.validation.affecting import AffectedVersions
from clearhold.validation.examiner import Affecting, Report

ENDED = {"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"}


class Slow(StandIn):
    """Says when it begins, and takes its time."""

    seconds = 0.0

    def affected(self, report: Report, *, builds: int) -> Affecting:
        del builds
        sys.stdout.write("begun\n")
        sys.stdout.flush()
        time.sleep(self.seconds)
        return replayed(report.proof)


def main() -> None:
    """Queue the replay if asked to, and work until it has ended."""
    url, directory, finding, seconds, *actions = sys.argv[1:]
    root = Path(directory)
    database = open_engine(url)
    engine = DbosEngine(database, executor="one", heavy_slots=1)
    engine.migrate()
    settings = Settings(
        data_directory=root / "data", key_directory=root / "keys", cache_directory=root / "cache"
    )
    hub = assemble(settings, database=database, clock=SystemClock(), engine=engine)
    examiner = Slow()
    examiner.seconds = float(seconds)
    service = AffectedVersions(
        hub.sessions,
        hub.vault,
        hub.findings,
        examiner=examiner,
        signing_key=Ed25519PrivateKey.generate(),
        builds=7,
    )
    engine.register(affecting.RUN, lambda ids: service.run(FindingId(ids["finding"])))
    if actions:
        service.queue(FindingId(finding), key="once")
    engine.start()
    while not any(
        each.workflow_id.startswith(affecting.RUN) and each.status in ENDED
        for each in DBOS.list_workflows()
    ):
        time.sleep(0.1)
    engine.stop()


if __name__ == "__main__":
    main()
