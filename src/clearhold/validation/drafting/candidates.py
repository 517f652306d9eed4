"""Ways of giving a proof to a package: plans for the shared driver, the most promising first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

from clearhold.validation.drafting import proofs
from clearhold.validation.drafting.proofs import Told
from clearhold.validation.drafting.survey import Entry, Ranked

MOST_ALLOWED: Final = 400
MOST_ENTRIES: Final = 40
MOST_TRIED: Final = 160
_FINISHING: Final = (
    *("render", "parse", "run", "execute", "extractall", "extract", "extractAllTo", "read", "load"),
    *("get", "process", "convert", "compile", "match", "test", "exec", "format", "render_unicode"),
)
_ON_FILES: Final = frozenset({"path-escape", "file", "secret", "command"})
_MEMBER: Final = "polluted"


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan of the shared driver: its name, what it does in words, and its JSON."""

    name: str
    summary: str
    content: dict[str, Any]

    @property
    def written(self) -> bytes:
        """The plan's file."""
        members = ",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in self.content.items())
        return f"{{\n{members}\n}}\n".encode()


def open_plan(
    package: Any, entries: Sequence[Ranked], asked: AbstractSet[str] = frozenset()
) -> Plan:
    """The plan that lets a proof name its call among what the package offers.

    At most `MOST_ALLOWED` entries are allowed, those that are `asked` for before the others.
    """
    last = {each.rsplit(".", 1)[-1] for each in asked}
    wanted = [each.entry for each in entries if each.entry.name.rsplit(".", 1)[-1] in last]
    rest = [each.entry for each in entries if each.entry not in wanted]
    kept = [*wanted, *rest][:MOST_ALLOWED]
    methods = sorted({name for each in kept for name in each.methods} | {"()"})
    return Plan(
        "call",
        "a call that the proof names, among what the recipe allows",
        {"package": package, "allow": [each.name for each in kept], "methods": methods},
    )


def plans(
    package: Any, entries: Sequence[Ranked], told: Told, oracle: str, *, node: bool
) -> list[Plan]:
    """The plans to try for a proof of that form, in order, and no more than are worth trying.

    Whoever makes targets of several gives them names of their own.
    """
    if told.form == "growing":
        told = proofs.within(told)
    if told.form == "call":
        return [open_plan(package, entries, proofs.calls(told.value))]
    shapes = _node if node else _python
    found: dict[str, Plan] = {}
    each_of = [list(shapes(each.entry, told, oracle)) for each in entries[:MOST_ENTRIES]]
    for depth in range(max(map(len, each_of), default=0)):
        for entry, steps in zip(entries, each_of, strict=False):
            if depth < len(steps):
                plan = _plan(package, entry.entry, steps[depth])
                found.setdefault(json.dumps(plan.content), plan)
    return list(found.values())[:MOST_TRIED]


def _plan(package: Any, entry: Entry, step: dict[str, Any]) -> Plan:
    methods = sorted({each["call"] for each in step.get("then", ())})
    words = f"the proof is given to {entry.name}" + "".join(f", then {each}" for each in methods)
    content = {"package": package, "allow": [entry.name], "methods": methods, **step}
    return Plan("call", words, content)


def _given(form: str) -> dict[str, str]:
    return {"$proof": form}


def _forms(told: Told, oracle: str, *, node: bool) -> list[str]:
    """How the proof can be given as one argument, the likeliest first."""
    if told.form == "bytes":
        first = ["bytes", "file"] if node else ["bytes", "stream", "file"]
        return first[::-1] if oracle in _ON_FILES else first
    if told.form == "json":
        return ["json", "text"]
    if told.form == "reader":
        return ["reader"]
    return ["text", "file"] if oracle in _ON_FILES else ["text"]


def _python(entry: Entry, told: Told, oracle: str) -> Iterator[dict[str, Any]]:
    call = {"call": entry.name}
    if told.form == "args" or (told.form == "json" and isinstance(told.value, list)):
        spread = {"args": _given("args"), "kwargs": _given("kwargs")}
        yield call | spread
        yield from (
            {**call, "args": [], "then": [{"call": each, **spread}]} for each in entry.methods
        )
    for form in _forms(told, oracle, node=False):
        for args in _filled(entry.params, _given(form)):
            if entry.kind:
                yield from _made(entry, args)
            yield {**call, "args": args}
            if form == "file" and _takes(entry.params, 2):
                yield {**call, "args": [*args[:1], "unpacked"]}
        if entry.kind and _required(entry.params) == 0:
            for name, given in _in_order(entry.methods):
                for args in _filled(given if isinstance(given, list) else None, _given(form)):
                    yield {**call, "args": [], "then": [{"call": name, "args": args}]}


def _made(entry: Entry, args: list[Any]) -> Iterator[dict[str, Any]]:
    """A class made of the proof, and one thing done with it that asks for nothing more."""
    for name, given in _in_order(entry.methods):
        if _required(given if isinstance(given, list) else None) == 0:
            yield {"call": entry.name, "args": args, "then": [{"call": name}]}


def _in_order(methods: dict[str, Any]) -> list[tuple[str, Any]]:
    def order(each: tuple[str, Any]) -> tuple[int, str]:
        found = _FINISHING.index(each[0]) if each[0] in _FINISHING else len(_FINISHING)
        return found, each[0]

    return sorted(methods.items(), key=order)[:8]


def _filled(params: list[tuple[str, bool]] | None, proof: Any) -> Iterator[list[Any]]:
    """Arguments with the proof among them, and a filling for the others that must be given."""
    if params is None or (params and params[0][0] == "*"):
        yield [proof]
        return
    required = _required(params)
    if not params or required > 3:
        return
    count = max(required, 1)
    for place in range(count):
        yield [proof if at == place else _filling(params[at][0]) for at in range(count)]


def _filling(name: str) -> Any:
    """Something harmless for a parameter of that name."""
    if any(word in name for word in ("dict", "data", "obj", "context", "options", "config", "env")):
        return {}
    if any(word in name for word in ("list", "items", "args", "values")):
        return []
    if any(word in name for word in ("size", "count", "width", "length", "max", "indent", "num")):
        return 1
    return "a"


def _required(params: list[tuple[str, bool]] | None) -> int:
    return sum(needed for _, needed in params or [])


def _takes(params: list[tuple[str, bool]] | None, count: int) -> bool:
    return params is None or len(params) >= count


def _node(entry: Entry, told: Told, oracle: str) -> Iterator[dict[str, Any]]:
    call = {"call": entry.name}
    spread = {"args": _given("args")}
    if told.form == "args" or (told.form == "json" and isinstance(told.value, list)):
        yield call | spread
        yield {**call, "new": True, **spread}
    for form in _forms(told, oracle, node=True):
        given = _given(form)
        empty = {"$object": 1}
        yield {**call, "args": [given]}
        if oracle == "pollution":
            yield {**call, "args": [empty, given]}
            yield {**call, "args": [True, empty, given]}
            yield {**call, "args": [empty, given, _MEMBER]}
            yield {**call, "args": [given, empty]}
            yield {**call, "args": [[given], empty]}
        elif form.startswith("file"):
            yield {**call, "args": [given, "unpacked"]}
            yield {
                **call,
                "args": [given, {"path": "unpacked", "dir": "unpacked", "cwd": "unpacked"}],
            }
        elif entry.length >= 2:
            yield {**call, "args": [given, "a"]}
            yield {**call, "args": ["a", given]}
            yield {**call, "args": [given, empty]}
        if entry.length >= 2:
            yield {**call, "args": [given, {"$callback": 1}]}
        if entry.kind:
            for name, _ in _in_order(entry.methods):
                follow = [{"call": name}, {"call": name, "args": ["unpacked", True]}]
                yield from (
                    {**call, "new": True, "args": [given], "then": [each]}
                    for each in (follow if oracle in _ON_FILES else follow[:1])
                )
                yield {**call, "new": True, "args": [], "then": [{"call": name, "args": [given]}]}
        if form in {"text", "json"}:
            yield {**call, "args": [given], "then": [{"call": "()", "args": [empty]}]}
        yield {**call, "new": True, "args": [given]}
