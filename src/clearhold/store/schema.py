"""What every table shares: the metadata, portable column types, STRICT tables on SQLite."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, Dialect, Integer, LargeBinary, MetaData, Text
from sqlalchemy.types import TypeDecorator

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

STRICT: Final[dict[str, Any]] = {"sqlite_strict": True}
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Whole: Final = BigInteger().with_variant(Integer(), "sqlite")
Binary: Final = LargeBinary()
Words: Final = Text()


def to_microseconds(moment: datetime) -> int:
    """Microseconds since 1970 in UTC; ValueError for a time without a zone."""
    if moment.tzinfo is None:
        message = "a stored time needs a zone"
        raise ValueError(message)
    return (moment - EPOCH) // timedelta(microseconds=1)


def from_microseconds(value: int) -> datetime:
    """The aware UTC instant that `value` microseconds since 1970 name."""
    return EPOCH + timedelta(microseconds=value)


class Instant(TypeDecorator[datetime]):
    """An aware instant, kept as whole microseconds since 1970 so both databases compare it alike."""

    impl = Whole
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """To the stored number."""
        return None if value is None else to_microseconds(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """From the stored number."""
        return None if value is None else from_microseconds(value)


class Flag(TypeDecorator[bool]):
    """True or false as 1 or 0."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: bool | None, dialect: Dialect) -> int | None:
        """To the stored number."""
        return None if value is None else int(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> bool | None:
        """From the stored number."""
        return None if value is None else bool(value)


class Document(TypeDecorator[Any]):
    """Plain JSON that no query looks inside."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """To canonical text."""
        return None if value is None else json.dumps(value, sort_keys=True, separators=(",", ":"))

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """From text."""
        return None if value is None else json.loads(value)
