"""The parts of a draft for a package that an interpreter runs: PyPI and npm."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, Literal

from clearhold.validation.drafting.draft import MARK, DraftedTarget, Parts, text_of

_HEAD: Final = "#!/bin/sh\nset -eu\n"


def parts(name: str, tree: Path, *, kind: str, oracle: str, benign: bytes) -> Parts:
    """What is drafted for the package `name` of npm or PyPI, whose vulnerable source lies at `tree`."""
    missing: list[str] = []
    host: Literal["node", "python"] = "node" if kind == "npm" else "python"
    if host == "node":
        script, driver, text = _node(missing, tree), "main.cjs", _node_driver()
        argv: tuple[str, ...] = ("/usr/bin/node", "/recipe/main.cjs", "/in/proof")
    else:
        script, driver, text = _python(missing, name, tree), "main.py", _python_driver(name)
        argv = ("/usr/bin/python3", "-s", "/recipe/main.py", "/in/proof")
    missing.append(f"{driver}: call what the flaw is in, at the line marked {MARK}")
    target = DraftedTarget(
        "main", f"the proof is read and given to {name}", argv, oracle, "plain", benign, host
    )
    return Parts((_HEAD + script).encode(), [target], {driver: text.encode()}, missing=missing)


def _node(missing: list[str], tree: Path) -> str:
    text = 'mkdir "$OUT/package"\ncp -R "$SRC/." "$OUT/package"\n'
    needed = re.findall(r'"dependencies"\s*:\s*\{([^}]*)\}', text_of(tree / "package.json"))
    missing += [
        f"recipe.yaml: a source for its dependency {each}, into node_modules/{each}"
        for each in (re.findall(r'"([^"]+)"\s*:', needed[0]) if needed else ())
    ]
    return text


def _python(missing: list[str], name: str, tree: Path) -> str:
    for root in ("src", "lib3", "lib", ""):
        place = tree / root
        packages = sorted(
            each.name
            for each in (place.iterdir() if place.is_dir() else ())
            if (each / "__init__.py").is_file() and each.name not in {"tests", "test", "docs"}
        )
        modules = [f"{name.replace('-', '_')}.py"] if packages == [] else []
        there = packages or [each for each in modules if (place / each).is_file()]
        if there:
            if any(tree.rglob("*.c")) or any(tree.rglob("*.pyx")):
                missing.append("build.sh: it has an extension, which the draft leaves out")
            prefix = f"$SRC/{root}/" if root else "$SRC/"
            return "".join(f'cp -R "{prefix}{each}" "$OUT/"\n' for each in there)
    missing.append("build.sh: no package was found in the source")
    return f'cp -R "$SRC/." "$OUT/"  # {MARK}\n'


def _node_driver() -> str:
    return (
        '"use strict";\n\nconst fs = require("node:fs");\nconst subject = require("/build/package");\n\n'
        'const proof = fs.readFileSync(process.argv[2], "utf8");\n'
        f"console.log(typeof subject, proof.length); // {MARK}: give the proof to the package\n"
    )


def _python_driver(name: str) -> str:
    module = name.replace("-", "_").lower()
    return (
        '"""The proof is text that is given to the package."""\n\n'
        "from __future__ import annotations\n\nimport sys\nfrom pathlib import Path\n\n"
        f"import {module}\n\n"
        'proof = Path(sys.argv[1]).read_text(encoding="utf-8", errors="replace")\n'
        f"print({module}.__name__, len(proof))  # {MARK}: give the proof to the package\n"
    )
