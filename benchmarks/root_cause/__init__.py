"""Whether root causes are decided without a wrong merge or split, on flaws that we put in."""

from benchmarks.root_cause.bench import run

__all__ = ["run"]
