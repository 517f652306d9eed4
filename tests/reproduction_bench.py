"""What tests of proofs and fixes start from: the real laboratory, or a visible reason to skip."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from clearhold.adapters.origins import all_origins
from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox
from clearhold.adapters.sources_cache import CachedSources
from clearhold.kernel.errors import UnavailableError
from clearhold.patches import answering
from clearhold.ports.sandbox import Tier
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Recipe, Side, load

# The demo's own cache: everything in it is named by its content, and ends with the clone.
CACHE = Path(__file__).resolve().parent.parent / ".cache" / "clearhold"

# Far more indentation than the encoder of ujson 5.1.0 has room for, by the driver's own language.
DEEP_LISTS = b"[" * 100 + b" " * 100


def _missing(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"CI must run the laboratory: {reason}")
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def few_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ordinary inputs take seconds of each judgement: the test that is about them asks for them."""
    monkeypatch.setattr(answering, "MOST_TARGETS", 0)


@pytest.fixture(scope="session")
def laboratory() -> Iterator[Laboratory]:
    """Builds and runs recipes in the real sandbox."""
    origins = all_origins(CACHE)
    sources = CachedSources(CACHE / "sources", origins=origins)
    with BubblewrapSandbox(slots=2) as sandbox:
        if sandbox.tier() is Tier.NONE:
            _missing("no sandbox: " + "; ".join(probe.detail for probe in sandbox.report()))
        # The fixes that tests try are the tests' own.
        made = Laboratory(sandbox, sources, CACHE, least_code=Tier.NAMESPACES)
        try:
            made.toolchain()
        except UnavailableError as error:
            _missing(f"{error.message} {error.next_step}")
        yield made


def _fetched(laboratory: Laboratory, name: str) -> Recipe:
    """The recipe, with its published source at hand."""
    recipe = load(name)
    try:
        for side in Side:
            laboratory.source_tree(recipe, side)
    except UnavailableError as error:
        _missing(f"{error.message} {error.next_step}")
    return recipe


@pytest.fixture(scope="session")
def ujson(laboratory: Laboratory) -> Recipe:
    return _fetched(laboratory, "ujson")


@pytest.fixture(scope="session")
def pygments(laboratory: Laboratory) -> Recipe:
    return _fetched(laboratory, "pygments")


@pytest.fixture(scope="session")
def cjson(laboratory: Laboratory) -> Recipe:
    """Skipped even under CI when it is gone: Debian removes a version when the next one comes."""
    recipe = load("cjson")
    try:
        laboratory.source_tree(recipe, Side.VULNERABLE)
    except UnavailableError as error:
        pytest.skip(f"{error.message} {error.next_step}")
    return recipe
