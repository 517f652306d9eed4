"""The real laboratory, once per run."""

from __future__ import annotations

from reproduction_bench import laboratory, ujson

__all__ = ["laboratory", "ujson"]
