"""Where a package's modules lie in its published source, and the script that lays them out."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from clearhold.validation.drafting.draft import quoted, text_of

_HEAD: Final = "#!/bin/sh\nset -eu\n"
_ROOTS: Final = ("src", "lib3", "lib", "python", "")
_NO_PACKAGE: Final = {"tests", "test", "docs", "doc", "examples", "example", "benchmarks", "tools"}
TOOLS: Final = ".tools"
NEEDED: Final = ".needed"


@dataclass(slots=True)
class Layout:
    """A side's top modules, each with the directory of the source that holds it.

    `extension` says that the source has code to compile, `problems` what could not be told.
    """

    modules: dict[str, str] = field(default_factory=dict)
    extension: bool = False
    problems: list[str] = field(default_factory=list)


def of_python(tree: Path, name: str, known: Sequence[str] = ()) -> Layout:
    """Where the modules of a Python package lie; `known` are those that its wheel has."""
    layout = Layout()
    module = re.sub(r"[-.]", "_", name)
    stated = [
        line.strip()
        for file in sorted(tree.rglob("*.egg-info/top_level.txt"))
        for line in text_of(file).splitlines()
        if line.strip().replace(".", "").replace("_", "a").isidentifier()
    ]
    for each in known or stated or _guessed(tree, module):
        if (root := _root_of(tree, each)) is not None:
            layout.modules[each] = root
    sources = (*tree.rglob("*.c"), *tree.rglob("*.pyx"), *tree.rglob("*.cpp"), *tree.rglob("*.cc"))
    layout.extension = any(not _NO_PACKAGE & set(each.relative_to(tree).parts) for each in sources)
    return layout


def of_needed(tree: Path, name: str) -> Layout:
    """Where the modules of a dependency lie that was published as source.

    Those named like modules of the interpreter's own are for older ones that lack them, and would
    stand in their place.
    """
    layout = of_python(tree, name)
    layout.modules = {
        each: root for each, root in layout.modules.items() if each not in sys.stdlib_module_names
    }
    return layout


def _guessed(tree: Path, module: str) -> list[str]:
    for root in _ROOTS:
        place = tree / root
        if not place.is_dir():
            continue
        if (place / f"{module}.py").is_file() or (place / module / "__init__.py").is_file():
            return [module]
        lower = module.lower()
        found = [each for each in sorted(place.iterdir()) if each.stem.lower() == lower]
        if any(each.suffix == ".py" or (each / "__init__.py").is_file() for each in found):
            return [each.stem for each in found][:1]
        packages = [
            each.name
            for each in sorted(place.iterdir())
            if (each / "__init__.py").is_file() and each.name not in _NO_PACKAGE
        ]
        if packages:
            return packages
    return []


def _root_of(tree: Path, module: str) -> str | None:
    """The directory, relative to the tree, that holds a module or package of that name."""
    for root in _ROOTS:
        if (tree / root / f"{module}.py").is_file() or (
            tree / root / module / "__init__.py"
        ).is_file():
            return root
    packages = sorted(
        (each for each in tree.rglob(module) if each.is_dir() and any(each.rglob("*.py"))),
        key=lambda each: len(each.parts),
    )
    files = sorted(tree.rglob(f"{module}.py"), key=lambda each: len(each.parts))
    for each in (*packages, *files):
        inside = each.relative_to(tree).parts[:-1]
        if not _NO_PACKAGE & set(inside):
            return "/".join(inside)
    return None


def python_script(
    layouts: Sequence[Layout], places: Sequence[str], *, name: str, compiled: bool
) -> bytes:
    """The build script of a Python package with what it needs.

    `places` are what is installed of dependencies, by path in the source. With `compiled`, the
    package's own set-up builds its extensions with setuptools from `TOOLS`.
    """
    lines = []
    if compiled:
        lines += [
            'cd "$SRC"',
            "# The package's own set-up compiles it, with the compilers that the flavour asks for.",
            '[ -f setup.py ] || echo "import setuptools; setuptools.setup()" >setup.py',
            'export LDSHARED="$CC -shared $CFLAGS" LDCXXSHARED="$CXX -shared $CXXFLAGS"',
            f'PYTHONPATH="$SRC/{TOOLS}" /usr/bin/python3 -s -S setup.py -q build --build-lib "$OUT" >&2',
        ]
    else:
        lines.append(
            "# What is installed are the package's modules as published; nothing is compiled."
        )
        modules = dict.fromkeys(name for layout in layouts for name in layout.modules)
        for module in modules:
            roots = {layout.modules.get(module) for layout in layouts} - {None}
            ordered = sorted(roots, key=lambda each: (_rank(str(each)), str(each)))
            found = " ".join(quoted(f"{each}/{module}" if each else module) for each in ordered)
            lines += [
                f"for place in {found}; do",
                '  if [ -d "$SRC/$place" ]; then cp -R "$SRC/$place" "$OUT/"; break; fi',
                '  if [ -f "$SRC/$place.py" ]; then cp "$SRC/$place.py" "$OUT/"; break; fi',
                "done",
            ]
    if places:
        lines += [
            f"for place in {' '.join(map(quoted, places))}; do",
            '  if [ -e "$SRC/$place" ]; then cp -R "$SRC/$place" "$OUT/"; fi',
            "done",
        ]
    lines += [
        'if [ -f "$SRC/PKG-INFO" ]; then  # for importlib.metadata',
        f'  mkdir -p "$OUT"/{quoted(f"{name}.dist-info")}',
        f'  cp "$SRC/PKG-INFO" "$OUT"/{quoted(f"{name}.dist-info/METADATA")}',
        "fi",
    ]
    return (_HEAD + "\n".join(lines) + "\n").encode()


def _rank(root: str) -> int:
    return _ROOTS.index(root) if root in _ROOTS else len(_ROOTS)


def node_script(name: str) -> bytes:
    """The build script of an npm package, whose dependencies lie in its `node_modules`."""
    place = quoted(f"node_modules/{name}")
    return (
        f"{_HEAD}# Published JavaScript is used as it is, found by its own name.\n"
        f'mkdir -p "$OUT"/{place}\ncp -R "$SRC/." "$OUT"/{place}\n'
        "echo 'export const load = (name) => import(name);' >\"$OUT/load.mjs\"\n"
    ).encode()
