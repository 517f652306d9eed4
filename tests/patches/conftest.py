"""The real laboratory, once per run."""

from __future__ import annotations

from reproduction_bench import cjson, few_inputs, laboratory, pygments, ujson

__all__ = ["cjson", "few_inputs", "laboratory", "pygments", "ujson"]
