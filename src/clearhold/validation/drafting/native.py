"""The parts of a draft for a package in C: a script that compiles it and a driver in C."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from clearhold.validation.drafting.draft import (
    FLAVOURS,
    MARK,
    DraftedTarget,
    Parts,
    quoted,
    text_of,
)

_MOST_UNITS: Final = 60
_NOT_BUILT: Final = re.compile(
    r"(?:^|/)(?:tests?|examples?|bench\w*|fuzz\w*|docs?|tools?|perf|demo|contrib|win32|verify|\.\w+)/"
)


def parts(name: str, tree: Path, *, oracle: str) -> Parts:
    """What is drafted for the native package `name`, whose vulnerable source lies at `tree`."""
    missing: list[str] = []
    script = _build(missing, tree)
    missing.append(f"main.c: call what the flaw is in, at the line marked {MARK}")
    target = DraftedTarget(
        "main",
        f"the proof is read and given to {name}",
        ("/build/main", "/in/proof"),
        oracle,
        FLAVOURS.get(oracle, "plain"),
        b'{"largest": 100, "pump": "a"}\n' if oracle == "complexity" else b"a\n",
    )
    missing.append("seeds/main/benign: an input of the form the driver takes")
    missing.append(f"a proof that the oracle {oracle} sees on the vulnerable side alone")
    return Parts(script, [target], {"main.c": _driver(name, tree).encode()}, missing=missing)


def _build(missing: list[str], tree: Path) -> bytes:
    head = "#!/bin/sh\nset -eu\n"
    units = [
        path.relative_to(tree).as_posix()
        for path in sorted(tree.rglob("*.c"))
        if not _NOT_BUILT.search(path.relative_to(tree).as_posix())
        and not re.search(r"(?m)^[^\s/*#].*\bmain\s*\(", text_of(path))
    ]
    if len(units) > _MOST_UNITS or not units:
        missing.append(f"build.sh: {len(units)} C files were found; build them as the project does")
    found = sorted({path.parent for path in tree.rglob("*.h")})
    places = [each.relative_to(tree).as_posix() or "." for each in found]
    listed = [each for each in places if not _NOT_BUILT.search(f"{each}/")]
    includes = " ".join(f"-I{quoted(each)}" for each in dict.fromkeys((".", *listed[:20])))
    missing += [
        f"build.sh: make {each.relative_to(tree).as_posix()} a header"
        for each in sorted(tree.rglob("*.in")) + sorted(tree.rglob("*.cmake"))
        if each.name.removesuffix(".in").removesuffix(".cmake").endswith(".h")
    ]
    return (
        f'{head}cd "$SRC"\n"$CC" $CFLAGS {includes} \\\n  '
        + " ".join(map(quoted, units[:_MOST_UNITS]))
        + ' \\\n  "$RECIPE/main.c" -lm -o "$OUT/main"\n'
    ).encode()


def _driver(name: str, tree: Path) -> str:
    headers = [
        path.name
        for path in sorted(tree.rglob("*.h"))
        if path.stem.lower().replace("lib", "") == name.lower().replace("lib", "")
    ]
    include = f'#include "{headers[0]}"\n' if headers else ""
    return (
        f"#include <stdio.h>\n#include <stdlib.h>\n\n{include}\n"
        "#define MAXIMUM (64 * 1024)\n#define UNUSABLE_PROOF 65\n\n"
        "int main(int count, char **arguments) {\n"
        '  FILE *file = count == 2 ? fopen(arguments[1], "rb") : NULL;\n'
        "  char *text = malloc(MAXIMUM + 1);\n"
        "  if (file == NULL || text == NULL) return UNUSABLE_PROOF;\n"
        "  size_t length = fread(text, 1, MAXIMUM + 1, file);\n  fclose(file);\n"
        "  if (length > MAXIMUM) return UNUSABLE_PROOF;\n  text[length] = 0;\n"
        f'  printf("%zu\\n", length); /* {MARK}: give the proof to the library */\n'
        "  free(text);\n  return 0;\n}\n"
    )
