"""Whether a report in other words is recognised as the public flaw it tells of, and what it takes.

What is known are the records of one database (PyPI's), the reports are what other databases publish
of the same CVE in other words, without any identifier. Equal texts are left out. Records of both
are read from the shared data and are not kept here (PYSEC: CC-BY-4.0; Bitnami: Apache-2.0; CVE: its
terms of use); without that data there is no figure.
"""

from __future__ import annotations

import time
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.figure import Figure
from clearhold.catalogue.likeness import Known, Terms, terms_of
from clearhold.kernel.errors import ClearholdError
from clearhold.wire import public_flaw
from clearhold.wire.public_flaw import PublicFlaw

_HELD: Final = ("osv/PyPI/all.zip",)
_ASKED: Final = ("osv/Bitnami/all.zip", "vulnrichment/cves.zip")
_LEAST: Final = 11
_GOAL: Final = 0.9


@dataclass(slots=True)
class _Count:
    asked: int = 0
    first: int = 0
    five: int = 0
    by_chance: float = 0.0
    signed: int = 0
    wrongly: int = 0
    pairs: int = 0
    seconds: float = 0.0


def run(*, full: bool) -> Iterator[Figure]:
    """Recall among the likeliest of the package's flaws, and how many others show signs."""
    del full
    data = _data()
    if data is None:
        return
    held: dict[str, list[PublicFlaw]] = defaultdict(list)
    for each in _flaws(data, _HELD):
        for package in each.claims.affected if each.claims else ():
            held[package].append(each)
    others = {
        name: each for each in _flaws(data, _ASKED) for name in each.names if name[:4] == "CVE-"
    }
    count = _Count()
    for known in held.values():
        if len(known) >= _LEAST:
            _ask(known, others, count)
    where = f"PYSEC records of packages with {_LEAST} or more, asked with other databases' texts"
    for name, found in (("first", count.first), ("among the five likeliest", count.five)):
        chance = count.by_chance / count.asked / (5 if name == "first" else 1)
        yield Figure(
            bench="public-known",
            figure=f"share of reports whose public flaw comes {name}",
            input=where,
            size=count.asked,
            ours=round(found / count.asked, 3),
            unit="of all",
            peer="by chance",
            peer_value=round(chance, 3),
            ratio=round(found / count.asked / chance, 1),
            goal=_GOAL,
            met=found / count.asked >= _GOAL,
        )
    yield Figure(
        bench="public-known",
        figure=f"other flaws said to resemble a report (the true one is for"
        f" {count.signed / count.asked:.3f} of them; {1000 * count.seconds / count.asked:.1f} ms each)",
        input=where,
        size=count.asked,
        ours=round(count.wrongly / count.asked, 2),
        unit="flaws",
        peer="candidates",
        peer_value=round(count.pairs / count.asked, 1),
        ratio=round(count.wrongly / count.pairs, 4),
        goal=5.0,
        met=count.wrongly / count.asked <= 5.0,
    )


def _ask(known: list[PublicFlaw], others: dict[str, PublicFlaw], count: _Count) -> None:
    index = Known([_terms(each) for each in known])
    for name in sorted({name for each in known for name in each.names} & others.keys()):
        asked = others[name]
        true = {place for place, each in enumerate(known) if name in each.names}
        if any(_same(known[place].text, asked.text) for place in true):
            continue
        began = time.perf_counter()
        found = index.likeness(_terms(asked))
        count.seconds += time.perf_counter() - began
        order = sorted(
            range(len(known)),
            key=lambda place: (-found[place].score if place in found else 0.0, known[place].id),
        )
        count.asked += 1
        count.first += order[0] in true
        count.five += not true.isdisjoint(order[:5])
        count.by_chance += min(1.0, 5 * len(true) / len(known))
        signed = {place for place, each in found.items() if each.signs}
        count.signed += not true.isdisjoint(signed)
        count.wrongly += len(signed - true)
        count.pairs += len(known) - len(true)


def _terms(flaw: PublicFlaw) -> Terms:
    return terms_of(f"{flaw.title}\n{flaw.text}", names=flaw.symbols, weaknesses=flaw.weaknesses)


def _same(one: str, other: str) -> bool:
    left, right = (" ".join(each.lower().split()) for each in (one, other))
    return left[:80] in right or right[:80] in left


def _flaws(data: Path, files: tuple[str, ...]) -> Iterator[PublicFlaw]:
    for file in files:
        with zipfile.ZipFile(data / file) as records:
            for name in sorted(records.namelist()):
                try:
                    yield public_flaw.read(records.read(name))
                except ClearholdError:
                    continue


def _data() -> Path | None:
    for parent in Path(__file__).resolve().parents:
        for place in (parent / "shared" / "data", parent / "data"):
            if (place / _HELD[0]).is_file():
                return place
    return None
