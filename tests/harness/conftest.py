"""Boxes for tests of the harness, which are skipped where the extra `eval` is not installed."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from clearhold.adapters.sample_box import Boxes
from clearhold.ports.sandbox import Tier


@pytest.fixture(scope="session")
def boxes() -> Iterator[Boxes]:
    with Boxes(most=6) as made:
        if made.tier() is Tier.NONE:
            pytest.skip(f"this machine gives no sandbox: {made.report()}")
        yield made


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """What Inspect leaves open is collected here, and warns no other test."""
    yield
    gc.collect()
