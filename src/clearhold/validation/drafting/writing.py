"""Writing a draft: the recipe and its files, of what a kind of package gives and the sides."""

from __future__ import annotations

from collections.abc import Mapping

from clearhold.validation.drafting.draft import (
    Draft,
    Drafted,
    DraftedTarget,
    Fuzzed,
    Parts,
    scalar,
)


def write(
    parts: Parts,
    *,
    purl: str,
    cve: str,
    summary: str,
    sides: Mapping[str, Drafted],
) -> Draft:
    """The draft of a recipe for the package `purl`, of the parts that its kind gives.

    `cve` is the public flaw that it is drafted for; empty for none.
    """
    head = ["schema: 1", f"package: {purl}", f"summary: {scalar(summary)}"]
    lines = [*head, *_sides(sides), *_build(parts)]
    lines += [f"drivers: [{', '.join(parts.drivers)}]"] if parts.drivers else []
    lines += ["targets:"] if parts.targets else ["targets: {}"]
    draft = Draft()
    for target in parts.targets:
        control = f"seeds/{target.name}/benign"
        lines += _target(target, control, cve)
        draft.files[control] = target.benign
        for number, seed in enumerate(target.fuzz.seeds if target.fuzz else (), start=1):
            draft.files[f"seeds/{target.name}/{number:02}"] = seed
    lines += ["protected: [test/, tests/, debian/]"]
    lines += [f"limits: {{build_s: {parts.build_s}, run_s: 10, memory_mb: 1024}}"]
    draft.files["recipe.yaml"] = ("\n".join(lines) + "\n").encode()
    draft.files["build.sh"] = parts.script
    draft.files |= parts.files
    draft.missing += parts.missing
    return draft


def _sides(sides: Mapping[str, Drafted]) -> list[str]:
    lines = ["sides:"]
    for side, drafted in sides.items():
        lines += [f"  {side}:", f"    version: {scalar(drafted.version)}", "    sources:"]
        for each in drafted.sources:
            lines += [f"      - origin: {scalar(each.origin)}", f"        sha256: {each.sha256}"]
            lines += [f"        into: {each.into}"] if each.into else []
        lines += [f"    series: {drafted.series}"] if drafted.series else []
        if drafted.without:
            lines += [f"    without: [{', '.join(map(scalar, drafted.without))}]"]
    return lines


def _build(parts: Parts) -> list[str]:
    flavours = dict.fromkeys(target.flavour for target in parts.targets)
    flavours = flavours or {"plain": None}
    if any(target.fuzz and target.fuzz.binary for target in parts.targets):
        flavours |= {"fuzz": None}
    if any(target.oracle == "exhaustion" for target in parts.targets):
        flavours |= {"plain": None}
    lines = ["build:", "  script: build.sh", f"  flavours: [{', '.join(flavours)}]"]
    return [*lines, *([f"  needs: [{', '.join(parts.needs)}]"] if parts.needs else [])]


def _target(target: DraftedTarget, control: str, cve: str) -> list[str]:
    return [
        f"  {scalar(target.name)}:",  # "null" and "on" are names of functions, too
        f"    summary: {scalar(target.summary)}",
        f"    argv: [{', '.join(map(scalar, target.argv))}]",
        f"    flavour: {target.flavour}",
        f"    oracle: {target.oracle}",
        f"    host: {target.host}",
        f"    control: {control}",
        *([f"    cves: [{cve}]"] if cve else []),
        *([_fuzz(target.name, target.fuzz)] if target.fuzz else []),
    ]


def _fuzz(name: str, fuzz: Fuzzed) -> str:
    how = f"binary: {scalar(fuzz.binary)}"
    if fuzz.python:
        how = f"python: {scalar(fuzz.python)}, modules: [{', '.join(map(scalar, fuzz.modules))}]"
    return f"    fuzz: {{{how}, seeds: seeds/{name}, maximum_bytes: 4096}}"
