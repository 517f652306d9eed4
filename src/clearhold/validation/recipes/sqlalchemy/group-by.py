"""Target `group-by`: rows read in groups that the proof asks for, from a database with a secret."""

from __future__ import annotations

import sys
from pathlib import Path

import os

import sqlalchemy as sa

UNUSABLE_PROOF = 65


def read() -> str:
    """The proof as text; ends the driver when it is none."""
    try:
        return Path(sys.argv[1]).read_text(encoding="utf-8")
    except ValueError:
        sys.exit(UNUSABLE_PROOF)


groups = read()
items = sa.Table("items", sa.MetaData(), sa.Column("name", sa.Text), sa.Column("owner", sa.Text))
rows = sa.select([items.c.name]).where(items.c.owner == "public").group_by(groups)
engine = sa.create_engine("sqlite:///" + os.environ["CLEARHOLD_DATABASE"])
try:
    print(engine.execute(rows).fetchall())
except sa.exc.SQLAlchemyError as error:
    print("refused", type(error).__name__)
