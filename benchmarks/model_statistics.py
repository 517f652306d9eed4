"""Whether intervals hold what they say when tasks of a template resemble each other, and how fast.

Models are drawn whose chances differ by template; the true mean is known. The peer is the same
interval made as if every task were independent, which is what most published scores have.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from scipy import stats

from benchmarks.figure import Figure
from clearhold.evaluations.statistics import scale
from clearhold.evaluations.statistics.comparison import compare
from clearhold.evaluations.statistics.scores import Scored, estimate

_TEMPLATES, _TASKS, _EPOCHS = 30, 5, 5
_SPREAD = 1.2
_SAYS = 0.95
_LEAST = 0.93
_SEED = 20261130


def run(*, full: bool) -> Iterator[Figure]:
    """Coverage of 95 % intervals, false alarms of comparisons, and seconds for a whole report."""
    yield _coverage(5000 if full else 1000)
    yield _alarms(2000 if full else 400)
    yield _report()


def _chances(rng: np.random.Generator, templates: int) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-rng.normal(0, _SPREAD, templates))))


def _drawn(rng: np.random.Generator, chances: np.ndarray) -> list[Scored]:
    return [
        Scored(f"{number}-{task}", f"{number}", tuple((rng.random(_EPOCHS) < chance).tolist()))
        for number, chance in enumerate(chances)
        for task in range(_TASKS)
    ]


def _coverage(times: int) -> Figure:
    rng = np.random.default_rng(_SEED)
    truth = float(_chances(rng, 2_000_000).mean())
    ours = peers = 0
    for _ in range(times):
        scored = _drawn(rng, _chances(rng, _TEMPLATES))
        got = estimate(scored)
        ours += got.interval.low <= truth <= got.interval.high
        trials = _TEMPLATES * _TASKS * _EPOCHS
        peer = stats.binomtest(round(got.mean * trials), trials).proportion_ci(_SAYS, "wilson")
        peers += peer.low <= truth <= peer.high
    return Figure(
        bench="statistics",
        figure="share of 95 % intervals that hold the true mean",
        input=f"drawn models on {_TEMPLATES} templates of {_TASKS} tasks, {_EPOCHS} epochs",
        size=times,
        ours=round(ours / times, 3),
        unit="of 1",
        peer="trials taken for independent (scipy's Wilson interval)",
        peer_value=round(peers / times, 3),
        ratio=round(ours / max(1, peers), 2),
        goal=_LEAST,
        met=ours / times >= _LEAST,
    )


def _alarms(times: int) -> Figure:
    rng = np.random.default_rng(_SEED + 1)
    ours = peers = 0
    for number in range(times):
        # Each model has luck of its own on a template, and neither is better.
        common = rng.normal(0, _SPREAD, _TEMPLATES)
        pair = [
            _drawn(rng, 1 / (1 + np.exp(-common - rng.normal(0, 0.8, _TEMPLATES))))
            for _ in range(2)
        ]
        ours += compare(*pair, seed=number).p < 1 - _SAYS
        apart = [one.mean - other.mean for one, other in zip(*pair, strict=True)]
        peers += float(stats.ttest_1samp(apart, 0).pvalue) < 1 - _SAYS
    most = 1 - _SAYS + 3 * (0.05 * 0.95 / times) ** 0.5
    return Figure(
        bench="statistics",
        figure="equal models called different at the 5 % level",
        input="pairs of models with luck of their own on each template",
        size=times,
        ours=round(ours / times, 3),
        unit="of 1",
        peer="paired t test that takes tasks for independent (scipy)",
        peer_value=round(peers / times, 3),
        ratio=round(ours / max(1, peers), 2),
        goal=round(most, 3),
        met=ours / times <= most,
    )


def _report() -> Figure:
    rng = np.random.default_rng(_SEED + 2)
    models = {name: _drawn(rng, _chances(rng, _TEMPLATES)) for name in ("first", "second")}
    counts = {
        name: {each.task: (sum(each.epochs), len(each.epochs)) for each in scored}
        for name, scored in models.items()
    }
    began = time.perf_counter()
    for scored in models.values():
        estimate(scored)
    compare(models["first"], models["second"])
    scale.fit(counts)
    took = time.perf_counter() - began
    began = time.perf_counter()
    for scored in models.values():
        values = np.array([each.mean for each in scored])
        stats.bootstrap((values,), np.mean, n_resamples=10_000, rng=rng)
    peer = time.perf_counter() - began
    return Figure(
        bench="statistics",
        figure="two estimates, their comparison and the scale",
        input="tasks of two models, five epochs each",
        size=_TEMPLATES * _TASKS,
        ours=round(took, 3),
        unit="s",
        peer="two bootstrap intervals of 10,000 draws (scipy), without clusters",
        peer_value=round(peer, 3),
        ratio=round(took / peer, 2),
        goal=1.0,
        met=took <= 1.0,
    )
