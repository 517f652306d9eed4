"""Writing a draft: the recipe and its files, of what a kind of package gives and the sides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from clearhold.validation.drafting import native, scripted
from clearhold.validation.drafting.draft import Draft, Drafted, DraftedTarget, Parts, scalar


def write(
    *,
    purl: str,
    kind: str,
    cve: str,
    summary: str,
    oracle: str,
    sides: Mapping[str, Drafted],
    tree: Path,
) -> Draft:
    """The draft of a recipe for the package `purl`, whose vulnerable source lies at `tree`."""
    name = purl.rsplit("/", 1)[-1]
    benign = b'{"largest": 100, "pump": "a"}\n' if oracle == "complexity" else b"a\n"
    parts = (
        scripted.parts(name, tree, kind=kind, oracle=oracle, benign=benign)
        if kind in {"npm", "pypi"}
        else native.parts(name, tree, oracle=oracle, benign=benign)
    )
    head = ["schema: 1", f"package: {purl}", f"summary: {scalar(summary or name)}"]
    lines = [*head, *_sides(sides), *_build(parts), "targets:"]
    draft = Draft()
    for target in parts.targets:
        control = f"seeds/{target.name}/benign"
        lines += _target(target, control, cve)
        draft.files[control] = target.benign
        draft.missing.append(f"{control}: an input of the form the driver takes")
        draft.missing.append(
            f"a proof that the oracle {target.oracle} sees on the vulnerable side alone"
        )
    lines += ["protected: [test/, tests/, debian/]"]
    lines += ["limits: {build_s: 120, run_s: 10, memory_mb: 1024}"]
    draft.files["recipe.yaml"] = ("\n".join(lines) + "\n").encode()
    draft.files["build.sh"] = parts.script
    draft.files |= parts.files
    draft.missing[:0] = parts.missing
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
    lines = ["build:", "  script: build.sh", f"  flavours: [{', '.join(flavours)}]"]
    return [*lines, *([f"  needs: [{', '.join(parts.needs)}]"] if parts.needs else [])]


def _target(target: DraftedTarget, control: str, cve: str) -> list[str]:
    return [
        f"  {target.name}:",
        f"    summary: {scalar(target.summary)}",
        f"    argv: [{', '.join(map(scalar, target.argv))}]",
        f"    flavour: {target.flavour}",
        f"    oracle: {target.oracle}",
        f"    host: {target.host}",
        f"    control: {control}",
        f"    cves: [{cve}]",
    ]
