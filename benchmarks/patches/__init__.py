"""Whether candidate fixes of public flaws are judged rightly, by kind, and how many in an hour."""

from benchmarks.patches.bench import run

__all__ = ["run"]
