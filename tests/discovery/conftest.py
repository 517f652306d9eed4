"""The real laboratory, once per run."""

from __future__ import annotations

from reproduction_bench import cjson, laboratory, ujson

__all__ = ["cjson", "laboratory", "ujson"]
