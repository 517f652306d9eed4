"""The story of the demo, act by act, each through the product's own public interface."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

from clearhold.demo import casework, closing, operators, release, reports, scouting
from clearhold.demo.cast import Cast, write_whole
from clearhold.demo.house import Place, serving
from clearhold.demo.progress import Progress
from clearhold.demo.scene import Scene
from clearhold.kernel.errors import ClearholdError, machine_error

Act = Callable[[Scene], None]

ACTS: tuple[tuple[str, Act], ...] = (
    ("register the parties", scouting.parties),
    ("claim a scan lease", scouting.leases),
    ("discover, under the lease", scouting.discovery),
    ("take in findings", reports.intake),
    ("validate them in the sandbox", reports.validation),
    ("deduplicate", reports.deduplication),
    ("open a case under embargo", casework.case),
    ("try two candidate fixes", casework.patches),
    ("match three operators' inventories", operators.inventories),
    ("publish at the agreed instant", release.publication),
    ("upgrade the operators", release.upgrades),
    ("verify the ledger", closing.ledger),
)


class StoryError(Exception):
    """A stage failed."""

    def __init__(self, stage: int, title: str, cause: ClearholdError) -> None:
        super().__init__(title)
        self.stage = stage
        self.title = title
        self.cause = cause


class Story:
    """Tells the whole story on a hub of its own."""

    def __init__(self, place: Place, progress: Progress, report: Path) -> None:
        self._place = place
        self._progress = progress
        self._report = report

    def tell(self) -> None:
        """Run every act; one that fails raises `StoryError`."""
        with self._place.held():
            self._tell()

    def _tell(self) -> None:
        continued = self._place.begin()
        if continued:
            self._progress.tell("An earlier run did not end: going on with it.")
        with serving(self._place) as house:
            cast = Cast(self._place, house)
            scene = Scene(self._place, house, cast, self._progress, self._name())
            try:
                for number, (title, act) in enumerate(ACTS, start=1):
                    try:
                        with self._progress.stage(number, title):
                            act(scene)
                    except ClearholdError as error:
                        raise StoryError(number, title, error) from error
                    except OSError as error:
                        raise StoryError(number, title, machine_error(error)) from error
                page = closing.report(scene, self._report)
            finally:
                cast.close()
        self._place.finish()
        self._progress.close(closing.table(scene), page)

    def _name(self) -> str:
        path = self._place.root / "story"
        if not path.exists():
            write_whole(path, secrets.token_hex(4).encode())
        return path.read_text()
