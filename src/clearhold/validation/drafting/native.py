"""The parts of a draft for a package in C or C++: a script that compiles it and its drivers.

With a proof, what it goes to is found by trying: first the project's own fuzz harnesses, then what
its headers declare to take a text, a buffer or a file, then its programs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from clearhold.validation.drafting import (
    native_build,
    native_drivers,
    native_programs,
    proofs,
)
from clearhold.validation.drafting.draft import (
    FLAVOURS,
    MARK,
    DraftedTarget,
    Parts,
    quoted,
)

_MOST_UNITS: Final = 60
_BUILD_S: Final = 600
_OTHERWISE: Final = (
    "no way told the two sides apart: name the program and its options with --run 'PROGRAM @@', or "
    "change the driver and the target's argv in recipe.yaml"
)
_SEEN_BY_ADDRESS: Final = ("address", "leak", "assertion")


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


def offered(
    name: str,
    version: str,
    tree: Path,
    *,
    oracle: str,
    words: str,
    proof: bytes,
    command: str = "",
) -> Iterator[tuple[str, Parts]]:
    """For each way of building, its name and parts with a target for each way of giving the proof.

    `words` are the record's and the fix's: a function or a program that they name comes first.
    `command` is the one command line to try, if any; raises `InvalidError` when it cannot be read.
    """
    sources = native_build.programs_of(tree)
    drivers = (
        native_programs.as_told(command, sources)
        if command
        else native_drivers.distinct(
            [
                *native_drivers.harnesses(tree),
                *native_drivers.calls(name, tree, words),
                *native_programs.programs(name, sources, tree, words),
            ]
        )
    )
    benign = proofs.benign(proofs.read(proof))
    for way in native_build.ways(tree, version) if drivers else ():
        made = Parts(way.tried(drivers), [], needs=way.needs, build_s=_BUILD_S)
        made.otherwise, made.certain = _OTHERWISE, bool(command)
        for judge in dict.fromkeys((oracle, *_SEEN_BY_ADDRESS)):
            for driver in drivers:
                target = f"{driver.name}-{judge}"
                made.targets.append(
                    DraftedTarget(
                        target,
                        driver.summary,
                        driver.argv or (f"/build/{driver.name}", "/in/proof"),
                        judge,
                        FLAVOURS.get(judge, "plain"),
                        benign,
                        files=tuple(driver.files),
                    )
                )
                made.files |= driver.files
                made.scripts[target] = way.kept(driver)
        yield way.name, made


def _build(missing: list[str], tree: Path) -> bytes:
    head = "#!/bin/sh\nset -eu\n"
    units = [each for each in native_build.units_of(tree) if each.endswith(".c")]
    if len(units) > _MOST_UNITS or not units:
        missing.append(f"build.sh: {len(units)} C files were found; build them as the project does")
    found = sorted({path.parent for path in tree.rglob("*.h")})
    places = [each.relative_to(tree).as_posix() or "." for each in found]
    listed = [each for each in places if not native_build.NOT_BUILT.search(f"{each}/")]
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
