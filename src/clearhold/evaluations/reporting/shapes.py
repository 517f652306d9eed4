"""What a report is shown with: headings, paragraphs, tables and plots, whatever sets them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heading:
    """The heading of a part; level 1 is the report's own."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Words; with `quoted` they are another's, unchanged."""

    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under their heads; the first cell of a row names it."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """A share with its interval: all three between `lowest` and `highest` of the plot."""

    name: str
    low: float
    mean: float
    high: float


@dataclass(frozen=True, slots=True)
class Plot:
    """Shares with intervals on one axis, in per cent; `says` tells in words what can be seen."""

    title: str
    says: str
    bars: tuple[Bar, ...]
    lowest: float = 0.0
    highest: float = 1.0


Block = Heading | Paragraph | Table | Plot
