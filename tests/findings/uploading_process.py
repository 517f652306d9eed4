"""A process that uploads findings and says of each submission that it lasts; for killing.

python uploading_process.py DATABASE-URL DIRECTORY FILE PARTY PRINCIPAL
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from clearhold.access.model import Actor
from clearhold.access.permissions import PERMISSIONS, PartyKind
from clearhold.adapters.blobs_local import LocalBlobs
from clearhold.adapters.clock_system import SystemClock
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.adapters.keys_file import FileKeyRing
from clearhold.findings import bulk
from clearhold.findings.intake import Format
from clearhold.findings.model import Receipt
from clearhold.findings.service import FindingService
from clearhold.kernel.ids import PartyId, PrincipalId
from clearhold.scanning.service import ScanningService
from clearhold.store.database import open_engine
from clearhold.store.unit_of_work import Sessions
from clearhold.vault.service import Vault


class Telling(FindingService):
    """The service, which says what it has taken as soon as it has."""

    def submit(self, *arguments: Any, **options: Any) -> Receipt:
        """As the service does."""
        receipt = super().submit(*arguments, **options)
        sys.stdout.write(f"{receipt.submission}\n")
        sys.stdout.flush()
        return receipt


def main() -> None:
    """Upload the file in pieces of a hundred findings."""
    bulk.MOST_FINDINGS = 100  # type: ignore[misc]  # small, so that there are many
    url, directory, file, party, principal = sys.argv[1:]
    clock = SystemClock()
    sessions = Sessions(open_engine(url), clock=clock, engine=MemoryEngine(clock))
    place = Path(directory)
    ring = FileKeyRing(place / "keys" / "ring.json", data_directory=place / "data")
    vault = Vault(ring, LocalBlobs(place / "data" / "artefacts"))
    service = Telling(sessions, vault, ScanningService(sessions, vault))
    kind = PartyKind.LAB
    actor = Actor(PrincipalId(principal), PartyId(party), kind, PERMISSIONS[kind])
    with Path(file).open("rb") as opened:
        service.submit_many(actor, opened, form=Format.JSON_LINES, key="k")


if __name__ == "__main__":
    main()
