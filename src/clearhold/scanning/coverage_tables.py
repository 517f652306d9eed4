"""Coverage maps, what parties choose to share, how often they asked, and exposure.

A map is a sealed register under a keyed hash of its package; no row leads from it to a lease or a
party. The exposure of a package is a class, not a number, and there is none below the threshold.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Table

from clearhold.store.schema import STRICT, Binary, Instant, Whole, Words, metadata

coverage_map: Final = Table(
    "coverage_map",
    metadata,
    Column("package", Binary, primary_key=True),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False),
    Column("register", Binary, nullable=False),
    **STRICT,
)

coverage_sharing: Final = Table(
    "coverage_sharing",
    metadata,
    Column("party", Words, ForeignKey("party.id"), primary_key=True),
    Column("sharing", Words, nullable=False),
    Column("since", Instant, nullable=False),
    **STRICT,
)

scan_suggestion: Final = Table(
    "scan_suggestion",
    metadata,
    Column("party", Words, ForeignKey("party.id"), primary_key=True),
    Column("day", Whole, primary_key=True),
    Column("asked", Whole, nullable=False),
    **STRICT,
)

scan_exposure: Final = Table(
    "scan_exposure",
    metadata,
    Column("package", Binary, primary_key=True),
    Column("operators", Words, nullable=False),
    **STRICT,
)
