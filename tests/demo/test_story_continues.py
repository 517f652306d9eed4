"""The story of the demo, cut off by kill -9 again and again, comes to its end with nothing doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, text

from clearhold.adapters.keys_file import FileKeyRing
from clearhold.advisories import flows
from clearhold.advisories.tables import advisory
from clearhold.assembly.keys import log_padding, log_signer
from clearhold.cases.tables import disclosure_case
from clearhold.demo.house import Place
from clearhold.evaluations.gateway import watch
from clearhold.findings.tables import finding
from clearhold.ledger import audit
from clearhold.ledger.files import LogFiles
from clearhold.ledger.public_log import PublicLog
from clearhold.parties.tables import party
from clearhold.settings import PREFIX
from clearhold.store.database import open_engine
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Recipe
from clearhold.validation.tables import validation
from reproduction_bench import CACHE

# A heading, and how many seconds into its stage the process is killed: within the registration of
# parties, the search, the validations, the judging of fixes, the publication and the upgrades.
CUTS = ((1, 0.5), (3, 2.0), (5, 3.0), (8, 2.0), (10, 0.5), (11, 1.5))


@contextmanager
def telling(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Begin the story, or go on with it, in a process of its own that does not outlive the block."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
    with (directory / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "clearhold", "demo"),
                *("--directory", str(directory / "story"), "--cache", str(CACHE)),
                *("--report", str(directory / "report")),
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=directory,
        )
    with process:
        try:
            yield process
        finally:
            process.kill()


def reached(process: subprocess.Popen[bytes], output: Path, stage: int) -> None:
    """Wait for the heading of a stage, however long this machine takes."""
    while f"[{stage:2}/12]" not in output.read_text():
        assert process.poll() is None, output.read_text()
        time.sleep(0.05)


def rows(database: Engine, table: object) -> int:
    with database.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_story_killed_at_any_stage_goes_on_with_nothing_lost_and_nothing_doubled(
    laboratory: Laboratory, ujson: Recipe, open_path: Path
) -> None:
    output = open_path / "output.txt"
    for stage, seconds in CUTS:
        with telling(open_path) as process:
            reached(process, output, stage)
            time.sleep(seconds)
            process.kill()
            assert process.wait() == -signal.SIGKILL, output.read_text()
    with telling(open_path) as last:
        assert last.wait() == 0, output.read_text()
    assert "going on with it" in output.read_text()
    page = (open_path / "report" / "index.html").read_text()
    assert "CVE-" in page

    data = open_path / "story" / "hub"
    database = open_engine(f"sqlite:///{data / 'clearhold.db'}")
    assert rows(database, disclosure_case) == 1
    assert rows(database, advisory) == 1
    assert rows(database, finding) == 5
    assert rows(database, validation) == 5
    assert rows(database, party) == 8
    ring = FileKeyRing(open_path / "story" / "keys" / "ring.json", data_directory=data)
    with database.connect() as connection:
        settings = Place(open_path / "story", open_path / "cache").settings
        log = PublicLog(LogFiles(settings.log_directory).read, log_signer(settings).verifier)
        report = audit.verify(connection, padding=log_padding(ring), log=log)
        assert report.faults == ()
        ends = connection.execute(text("SELECT status, workflow_uuid FROM workflow_status")).all()
    database.dispose()
    # The sweeps alone still wait for their time.
    left = sorted((each[1].partition(":")[0], each[0]) for each in ends if each[0] != "SUCCESS")
    assert left == [(each, "DELAYED") for each in sorted((flows.SWEEP, watch.SWEEP))]
