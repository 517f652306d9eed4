"""The public's view: what is published, as CSAF provider and OSV database, without any token.

CSAF 2.0 section 7.1, directory-based distribution: provider metadata, a folder for each year,
`index.txt`, `changes.csv`, and SHA-256 and SHA-512 beside every document. OSV records are given
one by one, as a list of changes, and all in one archive. Only published advisories are read.
"""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, Literal

from clearhold.advisories import records
from clearhold.advisories.draft import csaf_path
from clearhold.advisories.model import Publisher
from clearhold.kernel.errors import NotFoundError
from clearhold.store.unit_of_work import Sessions
from clearhold.wire.json_bounds import canonical
from clearhold.wire.osv import record_id
from clearhold.wire.timestamps import rfc3339

CSAF_ROOT: Final = "/.well-known/csaf"
HashName = Literal["sha256", "sha512"]


class Feeds:
    """Published advisories in the forms readers fetch them."""

    def __init__(self, sessions: Sessions, publisher: Publisher) -> None:
        self._sessions = sessions
        self._publisher = publisher

    def provider_metadata(self) -> bytes:
        """`provider-metadata.json`; before the first publication it is dated to its asking."""
        base = self._publisher.namespace.rstrip("/") + CSAF_ROOT
        with self._sessions.transaction() as unit:
            updated = records.last_published(unit) or unit.now
        return canonical(
            {
                "canonical_url": f"{base}/provider-metadata.json",
                "distributions": [{"directory_url": f"{base}/"}],
                "last_updated": rfc3339(updated),
                "list_on_CSAF_aggregators": True,
                "metadata_version": "2.0",
                "mirror_on_CSAF_aggregators": True,
                "publisher": {
                    "category": "coordinator",
                    "name": self._publisher.name,
                    "namespace": self._publisher.namespace,
                },
                "role": "csaf_provider",
            }
        )

    def csaf_index(self) -> bytes:
        """`index.txt`: the path of every document, one a line."""
        paths = sorted(self._csaf())
        return "".join(f"{path}\n" for path in paths).encode()

    def csaf_changes(self) -> bytes:
        """`changes.csv`: path and time of the last change of every document, newest first."""
        return _table((path, each.published_at) for path, each in self._csaf().items())

    def csaf_document(self, year: int, name: str) -> bytes:
        """One document. Raises `NotFoundError`."""
        found = self._csaf().get(f"{year}/{name}")
        if found is None:
            raise _absent()
        return found.content

    def csaf_hash(self, year: int, name: str, kind: HashName) -> bytes:
        """The line `sha256sum` or `sha512sum` would print for a document."""
        digest = hashlib.new(kind, self.csaf_document(year, name)).hexdigest()
        return f"{digest}  {name}\n".encode()

    def osv_record(self, identity: str) -> bytes:
        """One OSV record by its id. Raises `NotFoundError`."""
        found = self._osv().get(identity)
        if found is None:
            raise _absent()
        return found.content

    def osv_changes(self) -> bytes:
        """Time of the last change and id of every record, newest first."""
        rows = ((each.published_at, name) for name, each in self._osv().items())
        return "".join(f"{rfc3339(moment)},{name}\n" for moment, name in rows).encode()

    def osv_archive(self) -> bytes:
        """Every record in one zip; the same records give the same bytes."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as writer:
            for name, each in sorted(self._osv().items()):
                stamp = each.published_at.astimezone(UTC).timetuple()[:6]
                entry = zipfile.ZipInfo(f"{name}.json", date_time=stamp)
                entry.compress_type = zipfile.ZIP_DEFLATED
                writer.writestr(entry, each.content)
        return archive.getvalue()

    def _csaf(self) -> dict[str, records.Document]:
        with self._sessions.transaction() as unit:
            documents = records.published_documents(unit, "csaf")
        return {csaf_path(each.public_id, each.published_at): each for each in documents}

    def _osv(self) -> dict[str, records.Document]:
        with self._sessions.transaction() as unit:
            documents = records.published_documents(unit, "osv")
        return {record_id(each.public_id): each for each in documents}


def _table(rows: Iterable[tuple[str, datetime]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows((path, rfc3339(moment)) for path, moment in rows)
    return text.getvalue().encode()


def _absent() -> NotFoundError:
    return NotFoundError("There is no such published document.")
