"""The real laboratory decides whether the story can be told on this machine."""

from __future__ import annotations

from reproduction_bench import laboratory, ujson

__all__ = ["laboratory", "ujson"]
