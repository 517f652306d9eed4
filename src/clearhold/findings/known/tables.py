"""What rooms hold, who asked how often, and what was claimed.

An entry's tag and ticket are values of the keyed function: nothing can be tried out on them without
its key. The question itself never comes here.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint

from clearhold.store.schema import STRICT, Binary, Instant, Whole, Words, metadata

known_epoch: Final = Table(
    "known_epoch",
    metadata,
    Column("number", Whole, primary_key=True, autoincrement=False),
    Column("begun_at", Instant, nullable=False),
    Column("ready_at", Instant),
    Column("start", Whole, nullable=False),
    Column("digest", Words, nullable=False),
    **STRICT,
)

# `package` is a keyed value, so that a claim counts against it without opening what it is about.
# `place` is where the tag stands in its room's list; of entries with one tag only one has a place.
known_entry: Final = Table(
    "known_entry",
    metadata,
    Column("finding", Words, ForeignKey("finding.id"), primary_key=True),
    Column("epoch", Whole, ForeignKey("known_epoch.number"), primary_key=True),
    Column("ticket", Binary, primary_key=True),
    Column("room", Whole, nullable=False),
    Column("place", Whole),
    Column("tag", Binary, nullable=False),
    Column("package", Binary, nullable=False),
    UniqueConstraint("epoch", "room", "place"),
    Index("ix_known_entry_ticket", "epoch", "ticket"),
    **STRICT,
)

# `half` is what the second holder of the key answered, None until it has. It stands open: it is a
# function of elements that are random to all but the finder, and says nothing without their blinds.
# `sent` counts the elements that the second holder was sent for this question and its claims.
known_question: Final = Table(
    "known_question",
    metadata,
    Column("lodgement", Words, ForeignKey("ledger_lodgement.id"), primary_key=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False),
    Column("epoch", Whole, nullable=False),
    Column("room", Whole, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("elements", Binary, nullable=False),
    Column("half", Binary),
    Column("sent", Whole, nullable=False, server_default="0"),
    Index("ix_known_question_party", "party", "room", "asked_at"),
    **STRICT,
)

known_claim: Final = Table(
    "known_claim",
    metadata,
    Column("party", Words, ForeignKey("party.id"), primary_key=True),
    Column("finding", Words, ForeignKey("finding.id"), primary_key=True),
    Column("package", Binary, nullable=False),
    Column("claimed_at", Instant, nullable=False),
    Index("ix_known_claim_package", "party", "package", "claimed_at"),
    **STRICT,
)
