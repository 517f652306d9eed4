"""Whether a diff fits a version, in which way, and what it comes to there.

What is applied when a fix is judged must fit exactly. Where it does not, this tells which hunk
fails and what the diff does fit; for a backport it makes a new diff from the nearest way in which
the change can be laid over a version, which is then a candidate of its own.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from dataclasses import dataclass, field, replace
from typing import Final

from clearhold.validation.builder import Laboratory
from clearhold.validation.diff import Diff
from clearhold.validation.recipe import BuildScript, Flavour, Recipe, Side

WAYS: Final = {
    "exact": "-F0",
    "one line of context ignored": "-F1",
    "two lines of context ignored": "-F2",
    "white space ignored": "-F0 -l",
    "white space and two lines of context ignored": "-F2 -l",
}
"""Ways in which a diff can be laid over a version, the strictest first, and the options of each."""
_REVERSED: Final = "reversed"
_FAILED: Final = re.compile(r"^Hunk #(\d+) FAILED at (\d+)", re.MULTILINE)
_FILE: Final = re.compile(r"^(?:checking|patching) file '?(.+?)'?$", re.MULTILINE)
_MISSING: Final = re.compile(r"can't find file to patch|No such file", re.IGNORECASE)
_TRY: Final = """\
#!/bin/sh
set -u
lay() {
  rm -rf "$WORK/try"
  mkdir -p "$WORK/try"
  while IFS= read -r path; do
    [ -f "$SRC/$path" ] || continue
    mkdir -p "$(dirname "$WORK/try/$path")"
    cp "$SRC/$path" "$WORK/try/$path"
  done <"$RECIPE/touched"
}
attempt() {
  number=$1
  shift
  lay
  (cd "$WORK/try" && patch -u -f -p1 --no-backup-if-mismatch -r - "$@" -i "$RECIPE/candidate") \\
    >"$OUT/$number.log" 2>&1
  status=$?
  echo "$status" >"$OUT/$number.status"
  if [ "$status" = 0 ] && [ ! -e "$OUT/after" ] && [ "$number" != reversed ]; then
    cp -R "$WORK/try" "$OUT/after"
  fi
}
lay
cp -R "$WORK/try" "$OUT/before"
echo >"$OUT/began"
%s
exit 0
"""


@dataclass(frozen=True, slots=True)
class Fit:
    """How a diff fits one version.

    `way` is one of `WAYS`, or empty when none works. `already` says that the version has the change
    in it. `failed` names the hunks that do not fit exactly. `diff` is the change as a diff that
    fits this version exactly, or empty.
    """

    version: str
    way: str
    already: bool
    failed: tuple[str, ...]
    diff: bytes = field(repr=False)

    @property
    def exact(self) -> bool:
        """Whether the diff fits as it is."""
        return self.way == "exact"

    @property
    def words(self) -> str:
        """One sentence."""
        if self.exact:
            return f"It fits {self.version} exactly."
        if self.already:
            return f"{self.version} has the change in it already."
        where = f": {'; '.join(self.failed[:3])}" if self.failed else ""
        if self.way:
            return f"It fits {self.version} only with {self.way}{where}."
        return f"It does not fit {self.version}{where}."


def fit(laboratory: Laboratory, recipe: Recipe, side: Side, diff: Diff) -> Fit:
    """Try to lay a diff over one side of a recipe. Raises what `Laboratory.build` raises."""
    attempts = [f"attempt {number} {options}" for number, options in enumerate(WAYS.values())]
    script = _TRY % "\n".join([*attempts, f"attempt {_REVERSED} -R -F0"])
    touched = "".join(f"{path}\n" for path in diff.touched).encode("latin-1")
    files = {
        **recipe.files,
        "fit.sh": script.encode(),
        "candidate": diff.canonical,
        "touched": touched,
    }
    digest = hashlib.sha256(
        b"\0".join((recipe.digest.encode(), script.encode(), diff.canonical))
    ).hexdigest()
    made = laboratory.build(
        replace(
            recipe,
            digest=digest,
            files=files,
            build=BuildScript(flavours=(Flavour.PLAIN,), script="fit.sh"),
        ),
        side,
        flavour=Flavour.PLAIN,
    ).files
    worked = [
        way for number, way in enumerate(WAYS) if made.get(f"{number}.status", b"1").strip() == b"0"
    ]
    already = made.get(f"{_REVERSED}.status", b"1").strip() == b"0"
    return Fit(
        version=recipe.side(side).version,
        way="" if already or not worked else worked[0],
        already=already and worked[:1] != ["exact"],
        failed=_failures(made.get("0.log", b"").decode("utf-8", "replace")),
        diff=b"" if not worked else _between(made, diff),
    )


def _failures(log: str) -> tuple[str, ...]:
    """The hunks that `patch` could not apply, by file."""
    found: list[str] = []
    path = ""
    for line in log.splitlines():
        if named := _FILE.match(line):
            path = named[1]
        elif failed := _FAILED.match(line):
            found.append(f"hunk {failed[1]} of {path} fails at line {failed[2]}")
        elif _MISSING.search(line):
            found.append("a file that it changes is not there")
    return tuple(dict.fromkeys(found))


def _between(made: dict[str, bytes], diff: Diff) -> bytes:
    """The diff between what was and what came of it."""
    written = []
    for path in diff.touched:
        shown = path.encode("latin-1").decode("utf-8", "surrogateescape")
        old, new = made.get(f"before/{shown}"), made.get(f"after/{shown}")
        if old == new:
            continue
        lines = difflib.unified_diff(
            _lines(old),
            _lines(new),
            "/dev/null" if old is None else f"a/{path}",
            "/dev/null" if new is None else f"b/{path}",
        )
        for line in lines:
            whole = line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
            written.append(whole)
    return "".join(written).encode("latin-1")


def _lines(content: bytes | None) -> list[str]:
    if content is None:
        return []
    parts = content.decode("latin-1").split("\n")
    return [f"{each}\n" for each in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
