"""The suite `pairs` on this machine: fetched from where the packages are published, judged by the laboratory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from clearhold.evaluations.suites import pairs
from clearhold.evaluations.suites.task import Checker
from clearhold.evaluations.suites.template import Suite
from clearhold.harness.pair_checker import PairChecker
from clearhold.harness.pair_sources import gather
from clearhold.settings import from_environment
from clearhold.validation.builder import Laboratory


@dataclass(frozen=True, slots=True)
class Here:
    """The suite as far as its sources are here, what was left out, and who checks what is left of it."""

    suite: Suite
    left_out: tuple[str, ...]
    laboratory: Laboratory

    def checker(self) -> Checker:
        """Who checks. Raises `UnavailableError` where strangers' patches may not be run on this machine."""
        self.laboratory.demand_for_code()
        return PairChecker(self.laboratory)


@contextmanager
def opened() -> Iterator[Here]:
    """The suite, made of what can be fetched; what cannot be is told on standard error."""
    from clearhold.assembly.laboratory import open_laboratory  # noqa: PLC0415 (seldom wanted, and large)
    from clearhold.delivery.cli.validate import with_cache  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="clearhold-pairs-", dir="/var/tmp") as scratch:
        laboratory = open_laboratory(with_cache(from_environment(), Path(scratch)))
        found = gather(laboratory)
        for each in found.left_out:
            typer.echo(f"left out: {each}", err=True)
        yield Here(pairs.suite(found.pairs), found.left_out, laboratory)


@contextmanager
def opened_among(names: Iterable[str]) -> Iterator[Here | None]:
    """The suite where it is among these names, else nothing."""
    if pairs.NAME not in names:
        yield None
        return
    with opened() as here:
        yield here
