"""The real laboratory, once per run, and what a model's search starts from."""

from __future__ import annotations

from reproduction_bench import cjson, laboratory, ujson

__all__ = ["cjson", "laboratory", "ujson"]
