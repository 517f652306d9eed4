"""Campaigns through a real hub and `clearhold discover`, beside the bare engine in the same run.

The bare engine is one job in the same sandbox, from the same seeds and with the same options: nothing
hostile runs outside it, not even as a peer. Time to a crash is luck, so each has a clock's seed and
executions a second are compared over a fixed time too, on code in which nothing is found.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.figure import Figure
from clearhold.adapters.origins import all_origins
from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox
from clearhold.adapters.sources_cache import CachedSources
from clearhold.demo.cast import Cast
from clearhold.demo.house import House, Place, serving
from clearhold.demo.scene import COORDINATOR
from clearhold.discovery.engine import Workspace
from clearhold.discovery.engine_afl import Afl
from clearhold.discovery.engine_atheris import Atheris
from clearhold.discovery.engine_libfuzzer import LibFuzzer
from clearhold.discovery.fuzzing import Fuzzer, Turn
from clearhold.ports.sandbox import Tier
from clearhold.settings import Settings
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Recipe, Side, load
from clearhold.validation.shelf import read_directory

_BUDGET_S: Final = 60
_WITHIN_S: Final = 60.0
_LEAST_SHARE: Final = 0.9
_LAB: Final = "aurora-lab"
_FUZZERS: Final[dict[str, Fuzzer]] = {each.name: each for each in (LibFuzzer(), Afl(), Atheris())}
# What a harness in Python calls when it is to find nothing: the same code, compared with nothing.
_FINDS_NOTHING: Final = b"""\
import decode
import decode_reference


def test_one_input(data):
    decode.run(data), decode_reference.run(data)
"""


@dataclass(frozen=True, slots=True)
class _Search:
    """What is searched, by what; `quiet` is the name of the recipe in which nothing is found."""

    recipe: str
    target: str
    engine: str

    @property
    def quiet(self) -> str:
        return f"quiet-{self.recipe}"


_SEARCHES: Final = (
    _Search("cjson", "parse", "libfuzzer"),
    _Search("libcue", "parse", "libfuzzer"),
    _Search("ujson", "decode", "atheris"),
    _Search("cjson", "parse", "afl"),
)


@dataclass(frozen=True, slots=True)
class _Hub:
    place: Place
    house: House
    cast: Cast


class _OwnRecipes(Place):
    """A hub whose operator has recipes in which nothing is found."""

    @property
    def settings(self) -> Settings:
        """The hub's settings."""
        return replace(super().settings, recipes=str(self.root / "recipes"))


def run(*, full: bool) -> Iterator[Figure]:
    """Time to a crash that the laboratory confirmed, and executions a second, for each engine."""
    times, steady_s = (5, 120) if full else (1, 25)
    cache = Path.cwd() / ".cache" / "clearhold"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=cache.parent) as scratch:
        Path(scratch).chmod(0o755)
        place = _OwnRecipes(Path(scratch), cache)
        for each in _SEARCHES:
            _write_quiet(place, each)
        with _laboratory(place) as laboratory, serving(place) as house:
            cast = Cast(place, house)
            cast.register(place)
            hub = _Hub(place, house, cast)
            for each in _SEARCHES:
                if each.engine == "afl" and not (full and laboratory.toolchain().fuzzer):
                    continue
                yield from _figures(laboratory, hub, each, times, steady_s)
            cast.close()


def _figures(
    laboratory: Laboratory, hub: _Hub, search: _Search, times: int, steady_s: int
) -> Iterator[Figure]:
    real, quiet = load(search.recipe), read_directory(hub.place.root / "recipes" / search.quiet)
    for recipe in (real, quiet):  # builds are no part of any figure
        _FUZZERS[search.engine].prepare(Workspace(laboratory, recipe), search.target)
    ours, bare = [], []
    for _ in range(times):
        began = time.monotonic()
        found = _discover(hub, real, search, _BUDGET_S)
        took = time.monotonic() - began
        ours.append(took if found["state"] == "found" else float("inf"))
        bare.append(_bare(laboratory, real, search, _BUDGET_S)[0])
    slowest = max(ours)
    yield Figure(
        bench="discovery",
        figure="slowest search for a crash that the laboratory confirmed, from the command's start "
        "to its end",
        input=f"searches of {search.recipe} by {search.engine} through `clearhold discover`",
        size=times,
        ours=round(slowest, 1),
        unit="s",
        peer="the bare engine's first crash, unconfirmed",
        peer_value=round(max(bare), 1),
        ratio=round(slowest / max(bare), 2),
        goal=_WITHIN_S,
        met=slowest <= _WITHIN_S,
    )
    rates: list[float] = []
    bares: list[float] = []
    for _ in range(times + 1):  # in turns, so that whatever else the machine does meets both alike
        done = _discover(hub, quiet, search, steady_s, "--keep-going")
        rates.append(done["executions"] / max(1, done["spent_s"]))
        # Both over the seconds that the engine was given, without the sandbox's and its own start.
        bares.append(_bare(laboratory, quiet, search, steady_s)[1] / steady_s)
    share = sum(rates) / sum(bares)
    yield Figure(
        bench="discovery",
        figure=f"executions a second while it searches, {len(rates)} times {steady_s} s",
        input=f"search of {search.recipe} by {search.engine}",
        size=1,
        ours=round(sum(rates) / len(rates), 1),
        unit="executions/s",
        peer="the bare engine in the same sandbox",
        peer_value=round(sum(bares) / len(bares), 1),
        ratio=round(share, 3),
        goal=_LEAST_SHARE,
        met=share >= _LEAST_SHARE,
    )


def _discover(
    hub: _Hub, recipe: Recipe, search: _Search, budget_s: int, *more: str
) -> dict[str, Any]:
    """A campaign by the command, under a fresh lease, from the clock's seed."""
    place, house, cast = hub.place, hub.house, hub.cast
    version = recipe.side(Side.VULNERABLE).version
    target = {"package": recipe.package, "versions": [version], "techniques": ["fuzzing"]}
    cast[COORDINATOR].post("/catalogue/targets", target)
    scope = {
        "package": recipe.package,
        "versions": {"exact": version},
        "paths": [],
        "technique": "fuzzing",
        "mode": "exclusive",
        "window_hours": 1,
        "budget_s": budget_s,
    }
    lease = cast[_LAB].post("/scanning/leases", scope, key=os.urandom(16).hex())
    words = [
        *(sys.executable, "-m", "clearhold", "discover", "run"),
        *(f"{recipe.package}@{version}", search.target, "--engine", search.engine),
        *("--lease", lease["id"], "--fence", str(lease["fence"]), "--budget", str(budget_s)),
        *more,
        "--json",
    ]
    token = json.loads((place.root / "tokens" / _LAB).read_text())["token"]
    surroundings = {**os.environ, "CLEARHOLD_URL": house.address, "CLEARHOLD_TOKEN": token}
    done = subprocess.run(words, env=surroundings, capture_output=True, text=True, check=True)
    cast[_LAB].post(f"/scanning/leases/{lease['id']}/release", {"fence": lease["fence"]})
    campaign: dict[str, Any] = json.loads(done.stdout)
    if campaign["state"] == "failed":
        raise RuntimeError(f"The search could not run: {campaign['note']}")
    return campaign


def _bare(
    laboratory: Laboratory, recipe: Recipe, search: _Search, seconds: int
) -> tuple[float, int]:
    """Seconds until the bare engine ends by itself, and its executions; no crash takes for ever."""
    ready = _FUZZERS[search.engine].prepare(Workspace(laboratory, recipe), search.target)
    seed = time.time_ns() // 1000 % (1 << 32) or 1
    began = time.monotonic()
    done = ready.round(Turn(seed, seconds, recipe.seeds(search.target), lambda *_: None))
    return time.monotonic() - began, done.executions


def _write_quiet(place: Place, search: _Search) -> None:
    """A recipe of the operator's own for code in which this search finds nothing."""
    recipe = load(search.recipe)
    document = msgspec.yaml.decode(recipe.files["recipe.yaml"])
    files = dict(recipe.files)
    if search.engine == "atheris":
        files[document["targets"][search.target]["fuzz"]["python"]] = _FINDS_NOTHING
        document["sides"]["vulnerable"]["version"] += "+quiet"
    else:
        document["sides"]["vulnerable"] = document["sides"]["fixed"]
    files["recipe.yaml"] = msgspec.yaml.encode(document)
    for path, content in files.items():
        file = place.root / "recipes" / search.quiet / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


@contextlib.contextmanager
def _laboratory(place: Place) -> Iterator[Laboratory]:
    sources = CachedSources(place.cache / "sources", origins=all_origins(place.cache))
    with BubblewrapSandbox(slots=1) as sandbox:
        yield Laboratory(sandbox, sources, place.cache, least_code=Tier.NAMESPACES)
