"""A report as a PDF, drawn with ReportLab from the same blocks as the page.

The same report gives the same bytes. The PDF's own fonts know Western European letters; what they lack
is shown as a question mark, and the end says so: page and JSON have every letter.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from html import escape
from itertools import zip_longest
from typing import Any, Final

from reportlab.graphics.shapes import Circle, Drawing, Line, String
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import LongTable, SimpleDocTemplate, Spacer, TableStyle
from reportlab.platypus import Paragraph as Words

from clearhold.evaluations.reporting.blocks import blocks
from clearhold.evaluations.reporting.document import Written
from clearhold.evaluations.reporting.shapes import Block, Heading, Paragraph, Plot, Table

_FONT: Final = "Helvetica"
_WIDTH: Final = A4[0] - 36 * mm
_PLAIN: Final = ParagraphStyle("plain", fontName=_FONT, fontSize=9.5, leading=13, spaceAfter=4)
_SMALL: Final = ParagraphStyle("small", parent=_PLAIN, fontSize=7.5, leading=9.5, spaceAfter=0)
_BOLD: Final = ParagraphStyle("bold", parent=_SMALL, fontName="Helvetica-Bold")
_QUOTED: Final = ParagraphStyle(
    "quoted", parent=_PLAIN, leftIndent=12, fontName="Helvetica-Oblique"
)
_HEADINGS: Final = {
    1: ParagraphStyle("h1", parent=_PLAIN, fontSize=17, leading=21, spaceAfter=8),
    2: ParagraphStyle("h2", parent=_PLAIN, fontSize=13, leading=17, spaceBefore=12, spaceAfter=5),
}
_LINES: Final = TableStyle(
    [
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, colors.HexColor("#6b747e")),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
    ]
)
_WIDEST: Final = 7.5
"""No letter of a cell is wider, in points."""
_LINES_OF_A_CELL: Final = 30
"""Of letters that wide; broken between words they are at most twice as many, which a page has."""
_LINES_OF_A_PARAGRAPH: Final = 50
_BARS_OF_A_PAGE: Final = 35
_LONG_WORD: Final = re.compile(r"\S{120}(?=\S)")
_NAMES: Final = 190
_ROW: Final = 17


def pdf(written: Written) -> bytes:
    """The whole report, its pages numbered."""
    out = io.BytesIO()
    title = _shown(f"Test of {written.report.tested.model}")
    document = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=18 * mm,
        rightMargin=18 * mm,
        topMargin=18 * mm,
        bottomMargin=18 * mm,
        title=title,
        author=_shown(written.report.tested.evaluator),
        lang="en",
        invariant=1,
    )
    story: list[Any] = []
    for each in blocks(written.report):
        story += _drawn(each)
    story.append(_words(f"SHA-256 of this report as JSON: {written.sha256}", _PLAIN))
    story.append(
        _words("Letters that the fonts of this file lack are shown as ?; page and JSON have them.")
    )
    document.build(story, onFirstPage=_numbered, onLaterPages=_numbered)
    return out.getvalue()


def _drawn(block: Block) -> Iterator[Any]:
    match block:
        case Heading(text, level):
            yield _words(text, _HEADINGS[level])
        case Paragraph(text, quoted):
            # A paragraph of many lines is broken anew on each of its pages: parted, once on each.
            lines = text.split("\n")
            for at in range(0, len(lines), _LINES_OF_A_PARAGRAPH):
                told = "\n".join(lines[at : at + _LINES_OF_A_PARAGRAPH])
                yield _words(told, _QUOTED if quoted else _PLAIN)
        case Table():
            yield from _table(block)
        case Plot():
            yield _words(block.title, _BOLD)
            for at in range(0, len(block.bars), _BARS_OF_A_PAGE):
                yield _plot(replace(block, bars=block.bars[at : at + _BARS_OF_A_PAGE]))
                yield Spacer(1, 4)


def _table(table: Table) -> Iterator[Any]:
    count = len(table.heads)
    first = 0.34 if count > 2 else 0.45
    widths = [_WIDTH * first, *[_WIDTH * (1 - first) / (count - 1)] * (count - 1)]
    rows = [[_words(each, _BOLD) for each in table.heads]]
    # A cell that is longer than a page cannot be set: it goes on in the next row.
    for row in table.rows:
        parts = [_pieces(each, width) for each, width in zip(row, widths, strict=True)]
        rows += [[_words(each) for each in cells] for cells in zip_longest(*parts, fillvalue="")]
    yield Spacer(1, 5)
    yield _words(table.caption, _BOLD)
    yield LongTable(rows, colWidths=widths, repeatRows=1, style=_LINES)
    yield Spacer(1, 6)


def _pieces(text: str, width: float) -> list[str]:
    """A cell's text in pieces of which each fits on a page, however wide its letters are."""
    across = max(1, int(width / _WIDEST))
    lines = [
        (line[at : at + across], "" if at else "\n")
        for line in text.split("\n")
        for at in range(0, len(line) or 1, across)
    ]
    return [
        "".join(before + part for part, before in lines[at : at + _LINES_OF_A_CELL]).lstrip("\n")
        for at in range(0, len(lines), _LINES_OF_A_CELL)
    ]


def _plot(plot: Plot) -> Drawing:
    height = _ROW * len(plot.bars) + 26
    room = _WIDTH - _NAMES - 20
    drawing = Drawing(_WIDTH, height)

    def at(share: float) -> float:
        inside = (share - plot.lowest) / (plot.highest - plot.lowest)
        return float(_NAMES + room * min(1.0, max(0.0, inside)))

    for step in range(5):
        share = plot.lowest + (plot.highest - plot.lowest) * step / 4
        x = at(share)
        drawing.add(Line(x, 16, x, height, strokeColor=colors.lightgrey, strokeWidth=0.5))
        drawing.add(_text(x, 4, f"{share * 100:.0f} %", "middle"))
    for row, bar in enumerate(plot.bars):
        y = height - _ROW * (row + 0.6)
        name = bar.name if len(bar.name) <= 44 else f"{bar.name[:43]}..."
        drawing.add(_text(_NAMES - 8, y - 3, _shown(name), "end"))
        drawing.add(Line(at(bar.low), y, at(bar.high), y, strokeWidth=1.4))
        drawing.add(Circle(at(bar.mean), y, 3, fillColor=colors.HexColor("#14508c")))
    return drawing


def _text(x: float, y: float, text: str, anchor: str) -> String:
    return String(x, y, text, fontName=_FONT, fontSize=7.5, textAnchor=anchor)


def _numbered(canvas: Any, document: Any) -> None:
    canvas.setFont(_FONT, 7.5)
    canvas.drawRightString(A4[0] - 18 * mm, 10 * mm, str(document.page))


def _words(text: str, style: ParagraphStyle = _SMALL) -> Words:
    """Text as it is: what looks like mark-up is not read as any.

    Words longer than any line get a space now and then, for ReportLab takes minutes to part them.
    """
    return Words(escape(_LONG_WORD.sub(r"\g<0> ", _shown(text))).replace("\n", "<br/>"), style)


def _shown(text: str) -> str:
    return text.encode("cp1252", "replace").decode("cp1252")
