"""A report as one page of HTML: no script, nothing fetched, its own style, plots drawn in it.

Plots are inline SVG with a title and a description for who does not see them; their numbers stand in
the table that follows. Colours keep a contrast of 7 to 1 in light and in dark.
"""

from __future__ import annotations

from html import escape
from typing import Final

from clearhold.evaluations.reporting.blocks import blocks, percent
from clearhold.evaluations.reporting.document import Written
from clearhold.evaluations.reporting.shapes import Block, Heading, Paragraph, Plot, Table

_STYLE: Final = """\
:root { color-scheme: light dark; --ink: #1c2430; --paper: #fcfcfa; --line: #6b747e; --mark: #14508c; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8ea; --paper: #14181d; --line: #98a2ad; --mark: #9cc8f5; } }
body { font: 1rem/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
.wide { overflow-x: auto; margin: 1rem 0; } .wide:focus { outline: 2px solid var(--mark); }
table { border-collapse: collapse; font-size: .92rem; min-width: 50%; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { text-align: left; vertical-align: top; padding: .35rem .7rem .35rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
tbody th { font-weight: 400; }
p { white-space: pre-wrap; max-width: 46rem; } blockquote { margin-left: 0; padding-left: 1rem;
  border-left: 3px solid var(--line); }
svg { max-width: 100%; height: auto; } svg text { fill: var(--ink); font: 13px system-ui, sans-serif; }
svg .axis { stroke: var(--line); } svg .reach { stroke: var(--ink); stroke-width: 2; }
svg .mean { fill: var(--mark); } @media print { body { max-width: none; } }
"""
_NAMES: Final = 300
_WIDTH: Final = 420
_ROW: Final = 26


def page(written: Written) -> str:
    """The whole page; the same report gives the same bytes."""
    report = written.report
    title = f"Test of {report.tested.model}"
    inside = "\n".join(_block(each, number) for number, each in enumerate(blocks(report)))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"{inside}\n<p>SHA-256 of this report as JSON: {written.sha256}</p>\n"
        "</main>\n</body>\n</html>\n"
    )


def _block(block: Block, number: int) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{escape(text)}</h{level}>"
        case Paragraph(text, quoted):
            inside = f"<p>{escape(text)}</p>"
            return f"<blockquote>{inside}</blockquote>" if quoted else inside
        case Table():
            return _table(block)
        case Plot():
            return _plot(block, number)


def _table(table: Table) -> str:
    heads = "".join(f'<th scope="col">{escape(each)}</th>' for each in table.heads)
    rows = "\n".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td>{escape(each)}</td>" for each in rest)
        + "</tr>"
        for first, *rest in table.rows
    )
    # What may scroll can be reached by the keyboard, and says what it is.
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(table.caption)}">'
        f"<table>\n<caption>{escape(table.caption)}</caption>\n"
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>"
    )


def _plot(plot: Plot, number: int) -> str:
    height = _ROW * len(plot.bars) + 40

    def at(share: float) -> str:
        inside = (share - plot.lowest) / (plot.highest - plot.lowest)
        return f"{_NAMES + _WIDTH * min(1.0, max(0.0, inside)):.1f}"

    drawn = []
    for step in range(5):
        share = plot.lowest + (plot.highest - plot.lowest) * step / 4
        x = at(share)
        drawn.append(
            f'<line class="axis" x1="{x}" x2="{x}" y1="6" y2="{height - 28}" stroke-dasharray="2 3"/>'
            f'<text x="{x}" y="{height - 10}" text-anchor="middle">{share * 100:.0f} %</text>'
        )
    for row, bar in enumerate(plot.bars):
        y = 20 + _ROW * row
        name = bar.name if len(bar.name) <= 44 else f"{bar.name[:43]}…"
        drawn.append(
            f'<text x="{_NAMES - 12}" y="{y + 4}" text-anchor="end">{escape(name)}</text>'
            f'<line class="reach" x1="{at(bar.low)}" x2="{at(bar.high)}" y1="{y}" y2="{y}"/>'
            f'<circle class="mean" cx="{at(bar.mean)}" cy="{y}" r="5">'
            f"<title>{escape(bar.name)}: {percent(bar.mean)}</title></circle>"
        )
    box = f"0 0 {_NAMES + _WIDTH + 30} {height}"
    return (
        f'<figure><svg viewBox="{box}" width="{_NAMES + _WIDTH + 30}" role="img"'
        f' aria-labelledby="plot-{number}-title plot-{number}-says">'
        f'<title id="plot-{number}-title">{escape(plot.title)}</title>'
        f'<desc id="plot-{number}-says">{escape(plot.says)}</desc>{"".join(drawn)}</svg>'
        f"<figcaption>{escape(plot.title)}: mean and interval. The table beside it has the numbers."
        "</figcaption></figure>"
    )
