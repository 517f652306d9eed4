"""Drafting a recipe from a package and a public flaw: what can be told from its published source.

The draft names and pins the source of two sides, builds what it can, and has a driver that reads a
proof. What only a person can know, which function the proof goes to, is marked with `EDIT`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from clearhold.kernel.errors import InvalidError, NotFoundError
from clearhold.kernel.matching import Affected
from clearhold.kernel.versions import scheme_for

MARK: Final = "EDIT"
_MOST_UNITS: Final = 60
_BY_WEAKNESS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("1321", "915"), "pollution"),
    **dict.fromkeys(("1333", "400", "407", "770"), "complexity"),
    **dict.fromkeys(("22", "23", "29", "35", "36", "59", "61"), "path-escape"),
    **dict.fromkeys(("77", "78", "88"), "command"),
    **dict.fromkeys(("94", "95", "502"), "eval"),
    "89": "sql",
    **dict.fromkeys(("79", "1336"), "template"),
    "918": "request",
    **dict.fromkeys(("200", "312", "532"), "secret"),
    "401": "leak",
    "617": "assertion",
    "674": "exhaustion",
    "835": "hang",
    "908": "memory",
    **dict.fromkeys(("190", "191", "369", "681", "704"), "undefined"),
}
_BY_WORDS: Final = (
    (r"prototype pollution", "pollution"),
    (r"redos|regular expression|catastrophic|quadratic|exponential", "complexity"),
    (r"path traversal|directory traversal|zip slip|outside (?:of )?the", "path-escape"),
    (r"command injection|shell", "command"),
    (r"deseriali[sz]|code (?:execution|injection)|eval", "eval"),
    (r"sql injection", "sql"),
    (r"template injection", "template"),
    (r"request forgery|ssrf", "request"),
    (r"memory leak", "leak"),
    (r"assert", "assertion"),
    (r"infinite loop|endless|hang", "hang"),
    (r"recursion|stack exhaustion", "exhaustion"),
    (r"uninitiali[sz]ed", "memory"),
)
_FLAVOURS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("address", "assertion", "exhaustion", "leak"), "address"),
    "undefined": "undefined",
    "memory": "memory",
}
_NOT_BUILT: Final = re.compile(
    r"(?:^|/)(?:tests?|examples?|bench\w*|fuzz\w*|docs?|tools?|perf|demo|contrib|win32|verify|\.\w+)/"
)


@dataclass(frozen=True, slots=True)
class Pinned:
    """A published archive, by its origin and SHA-256, and where it belongs in the tree."""

    origin: str
    sha256: str
    into: str = ""


@dataclass(frozen=True, slots=True)
class Drafted:
    """One side of a draft: its version, archives, and patches of Debian's series left out."""

    version: str
    sources: tuple[Pinned, ...]
    series: str = ""
    without: tuple[str, ...] = ()


@dataclass(slots=True)
class Draft:
    """A recipe's files by name, and in words what is left to do."""

    files: dict[str, bytes] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    @property
    def lines(self) -> int:
        """How many lines were drafted."""
        return sum(content.count(b"\n") for content in self.files.values())


def oracle_for(weaknesses: Sequence[str], words: str, *, kind: str) -> str:
    """The oracle that most likely sees a flaw of these weaknesses, or told in these words."""
    for each in weaknesses:
        number = each.removeprefix("CWE-")
        if number in _BY_WEAKNESS:
            return _BY_WEAKNESS[number]
    for pattern, oracle in _BY_WORDS:
        if re.search(pattern, words, re.IGNORECASE):
            return oracle
    return {"npm": "pollution", "pypi": "hang"}.get(kind, "address")


def around_the_fix(kind: str, versions: Sequence[str], affected: Affected) -> tuple[str, str]:
    """The last release before a fix and the fix, of the newest range that has both.

    Raises `NotFoundError` when no published release lies in a range that was fixed.
    """
    scheme = scheme_for(kind)
    ordered = []
    for version in versions:
        try:
            ordered.append((scheme.key(version), version))
        except InvalidError:
            continue
    ordered.sort()
    for stated in reversed(affected.ranges):
        if stated.fixed is None:
            continue
        low = b"" if stated.introduced == "0" else scheme.key(stated.introduced)
        fixed = scheme.key(stated.fixed)
        before = [version for key, version in ordered if low <= key < fixed]
        after = [version for key, version in ordered if key >= fixed]
        if before and after:
            return before[-1], after[0]
    raise NotFoundError(
        "No published release lies just before a fix of this flaw.",
        next_step="Give --vulnerable and --fixed.",
    )


def patches_of(tree: Path, cve: str) -> tuple[str, ...]:
    """The patches of a Debian series that name a flaw, in their file's name or in their text."""
    series = tree / "patches" / "series"
    if not series.is_file():
        return ()
    lines = series.read_text(encoding="utf-8", errors="replace").splitlines()
    names = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
    return tuple(name for name in names if cve in name or cve in _text(tree / "patches" / name))


def words_of(tree: Path, patches: Sequence[str]) -> str:
    """What the heads of patches say in words, before the first change."""
    heads = (
        re.split(r"(?m)^(?:--- |diff )", _text(tree / "patches" / name))[0] for name in patches
    )
    return "\n".join(heads)


def version_before(tree: Path, cve: str, version: str) -> str:
    """By Debian's changelog the version before the one that mended a flaw."""
    text = _text(tree / "changelog")
    entries = re.split(r"(?m)^(?=\S+ \([^)]+\) )", text)
    told = [(found[1], each) for each in entries if (found := re.match(r"\S+ \(([^)]+)\)", each))]
    for place, (_, entry) in enumerate(told[:-1]):
        if cve in entry:
            return told[place + 1][0]
    return f"{version}~unfixed"


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
    draft = Draft()
    host = {"npm": "node", "pypi": "python"}.get(kind, "native")
    name = purl.rsplit("/", 1)[-1]
    flavour = _FLAVOURS.get(oracle, "plain")
    if host != "native":
        flavour = "plain"
    driver = {"node": "main.cjs", "python": "main.py", "native": "main.c"}[host]
    argv = {
        "node": "[/usr/bin/node, /recipe/main.cjs, /in/proof]",
        "python": "[/usr/bin/python3, -s, /recipe/main.py, /in/proof]",
        "native": "[/build/main, /in/proof]",
    }[host]
    lines = ["schema: 1", f"package: {purl}", f"summary: {_scalar(summary or name)}", "sides:"]
    for side, drafted in sides.items():
        lines += [f"  {side}:", f"    version: {_scalar(drafted.version)}", "    sources:"]
        for each in drafted.sources:
            lines += [f"      - origin: {_scalar(each.origin)}", f"        sha256: {each.sha256}"]
            lines += [f"        into: {each.into}"] if each.into else []
        lines += [f"    series: {drafted.series}"] if drafted.series else []
        if drafted.without:
            lines += [f"    without: [{', '.join(map(_scalar, drafted.without))}]"]
    lines += ["build:", "  script: build.sh", f"  flavours: [{flavour}]", "targets:", "  main:"]
    lines += [f"    summary: the proof is read and given to {name}", f"    argv: {argv}"]
    lines += [f"    flavour: {flavour}", f"    oracle: {oracle}", f"    host: {host}"]
    lines += ["    control: seeds/main/benign", f"    cves: [{cve}]"]
    lines += ["protected: [test/, tests/, debian/]"]
    lines += ["limits: {build_s: 120, run_s: 10, memory_mb: 1024}"]
    draft.files["recipe.yaml"] = ("\n".join(lines) + "\n").encode()
    draft.files["build.sh"] = _build(draft, host, name, tree)
    draft.files[driver] = _driver(host, name, tree).encode()
    benign = b'{"largest": 100, "pump": "a"}\n' if oracle == "complexity" else b"a\n"
    draft.files["seeds/main/benign"] = benign
    draft.missing.append(f"{driver}: call what the flaw is in, at the line marked {MARK}")
    draft.missing.append("seeds/main/benign: an input of the form the driver takes")
    draft.missing.append(f"a proof that the oracle {oracle} sees on the vulnerable side alone")
    return draft


def _build(draft: Draft, host: str, name: str, tree: Path) -> bytes:
    head = "#!/bin/sh\nset -eu\n"
    if host == "node":
        text = f'{head}mkdir "$OUT/package"\ncp -R "$SRC/." "$OUT/package"\n'
        needed = re.findall(r'"dependencies"\s*:\s*\{([^}]*)\}', _text(tree / "package.json"))
        for each in re.findall(r'"([^"]+)"\s*:', needed[0]) if needed else []:
            draft.missing.append(
                f"recipe.yaml: a source for its dependency {each}, into node_modules/{each}"
            )
        return text.encode()
    if host == "python":
        return f"{head}{_python(draft, name, tree)}".encode()
    units = [
        path.relative_to(tree).as_posix()
        for path in sorted(tree.rglob("*.c"))
        if not _NOT_BUILT.search(path.relative_to(tree).as_posix())
        and not re.search(r"(?m)^[^\s/*#].*\bmain\s*\(", _text(path))
    ]
    if len(units) > _MOST_UNITS or not units:
        draft.missing.append(
            f"build.sh: {len(units)} C files were found; build them as the project does"
        )
    found = sorted({path.parent for path in tree.rglob("*.h")})
    places = [each.relative_to(tree).as_posix() or "." for each in found]
    listed = [each for each in places if not _NOT_BUILT.search(f"{each}/")]
    includes = " ".join(f"-I{_quoted(each)}" for each in dict.fromkeys((".", *listed[:20])))
    for each in sorted(tree.rglob("*.in")) + sorted(tree.rglob("*.cmake")):
        if each.name.removesuffix(".in").removesuffix(".cmake").endswith(".h"):
            draft.missing.append(f"build.sh: make {each.relative_to(tree).as_posix()} a header")
    return (
        f'{head}cd "$SRC"\n"$CC" $CFLAGS {includes} \\\n  '
        + " ".join(map(_quoted, units[:_MOST_UNITS]))
        + ' \\\n  "$RECIPE/main.c" -lm -o "$OUT/main"\n'
    ).encode()


def _python(draft: Draft, name: str, tree: Path) -> str:
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
                draft.missing.append("build.sh: it has an extension, which the draft leaves out")
            prefix = f"$SRC/{root}/" if root else "$SRC/"
            return "".join(f'cp -R "{prefix}{each}" "$OUT/"\n' for each in there)
    draft.missing.append("build.sh: no package was found in the source")
    return f'cp -R "$SRC/." "$OUT/"  # {MARK}\n'


def _driver(host: str, name: str, tree: Path) -> str:
    if host == "node":
        return (
            '"use strict";\n\nconst fs = require("node:fs");\nconst subject = require("/build/package");\n\n'
            'const proof = fs.readFileSync(process.argv[2], "utf8");\n'
            f"console.log(typeof subject, proof.length); // {MARK}: give the proof to the package\n"
        )
    if host == "python":
        module = name.replace("-", "_").lower()
        return (
            '"""The proof is text that is given to the package."""\n\n'
            "from __future__ import annotations\n\nimport sys\nfrom pathlib import Path\n\n"
            f"import {module}\n\n"
            'proof = Path(sys.argv[1]).read_text(encoding="utf-8", errors="replace")\n'
            f"print({module}.__name__, len(proof))  # {MARK}: give the proof to the package\n"
        )
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


def _text(file: Path) -> str:
    # Trees are unpacked within bounds, and hold no links out of them.
    if not file.is_file() or file.is_symlink():
        return ""
    with file.open("rb") as opened:
        return opened.read(1 << 20).decode("utf-8", "replace")


def _scalar(text: str) -> str:
    """`text` as a YAML scalar on one line."""
    plain = " ".join("".join(each if each.isprintable() else " " for each in text).split())[:200]
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _quoted(path: str) -> str:
    return "'" + path.replace("'", "'\\''") + "'"
