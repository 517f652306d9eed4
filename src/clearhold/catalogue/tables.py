"""Targets and public vulnerabilities; all of it is public knowledge and stands in plain columns."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Table, text

from clearhold.store.schema import STRICT, Document, Flag, Instant, Words, metadata

catalogue_target: Final = Table(
    "catalogue_target",
    metadata,
    Column("package", Words, primary_key=True),
    Column("versions", Document, nullable=False),
    Column("techniques", Document, nullable=False),
    Column("paths", Document, nullable=False),
    Column("added_by", Words, ForeignKey("party.id"), nullable=False),
    Column("added_at", Instant, nullable=False),
    **STRICT,
)

catalogue_vulnerability: Final = Table(
    "catalogue_vulnerability",
    metadata,
    Column("package", Words, primary_key=True),
    Column("id", Words, primary_key=True),
    Column("aliases", Document, nullable=False),
    Column("ranges", Document, nullable=False),
    Column("versions", Document, nullable=False),
    Column("source", Words, nullable=False, server_default=text("''")),
    Column("summary", Words, nullable=False, server_default=text("''")),
    Column(
        "terms",
        Document,
        nullable=False,
        server_default=text("""'{"names":[],"weaknesses":[],"words":[]}'"""),
    ),
    Column("recorded_at", Instant, nullable=False),
    **STRICT,
)

catalogue_exploited: Final = Table(
    "catalogue_exploited",
    metadata,
    Column("cve", Words, primary_key=True),
    Column("added", Words, nullable=False),
    Column("ransomware", Flag, nullable=False),
    **STRICT,
)
