"""Object files that a build leaves, so that the same side with a fix compiles only what it changes.

A shell script stands before each compiler, at a path that comes first inside the sandbox. A side
that is built without a fix keeps each object under a hash of where, by what command and from what
preprocessed text it was compiled; a build with a fix may only read them, so what a stranger's fix
compiles to reaches no other build. The same text and command give the same bytes, so a build is
the same with and without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

PLACE: Final = "/objects"
"""Where a build with a fix reads the objects of the side without it."""
MOST_MB: Final = 16
"""How much of objects is kept of one build; beyond it nothing more is."""
SEARCH: Final = "/compilers:/usr/bin:/bin"
"""The search path inside the sandbox that finds the scripts before the compilers."""
_KEPT: Final = ".objects"

# What a compiler reads beside its preprocessed text, or writes beside the object, is left to it.
_BEFORE: Final = f"""\
#!/bin/sh
compiler=/usr/bin/${{0##*/}}
[ -d {PLACE} ] || [ -d "${{OBJECTS:-/none}}" ] || exec "$compiler" "$@"
compiles= units=0 object= next= listed= lists=
for word; do
  if [ -n "$next" ]; then object=$word next=; continue; fi
  case $word in
    -c) compiles=1 ;;
    -o) next=1 ;;
    -MD | -MMD) lists=1 ;;
    -MF*) listed=1 ;;
    -MT* | -MQ* | -MP | -MG) ;;
    -E | -S | -M* | -o* | - | @* | --coverage | -ftest-coverage | -fprofile* | -save-temps* | \\
      -gsplit-dwarf | -fplugin* | -specs* | -include-pch) exec "$compiler" "$@" ;;
    *.c | *.cc | *.cpp | *.cxx | *.C) units=$((units + 1)) ;;
  esac
done
[ -n "$compiles" ] && [ "$units" = 1 ] && [ -n "$object" ] && [ "$lists" = "$listed" ] ||
  exec "$compiler" "$@"
for word; do # a second -o is an error
  shift
  if [ -n "$next" ]; then next=; elif [ "$word" = -o ]; then next=1; else set -- "$@" "$word"; fi
done
text=$(mktemp) || exec "$compiler" "$@" -o "$object"
"$compiler" "$@" -E -o "$text" 2>/dev/null && ! grep -q incbin "$text" ||
  {{ rm -f "$text"; exec "$compiler" "$@" -o "$object"; }}
name=$({{ printf '%s\\n' "$PWD" "$object" "$compiler" "$@"; cat "$text"; }} | sha256sum)
name=${{name%% *}}
rm -f "$text"
cp "{PLACE}/$name" "$object" 2>/dev/null && exit 0
"$compiler" "$@" -o "$object" || exit
if [ -d "${{OBJECTS:-/none}}" ] && [ "$(du -sk "$OBJECTS" | cut -f1)" -lt {MOST_MB * 1024} ]; then
  cp "$object" "$OBJECTS/.$$" && mv "$OBJECTS/.$$" "$OBJECTS/$name" || rm -f "$OBJECTS/.$$"
fi
"""

KEEP: Final = f"""\
if [ -d "$OBJECTS" ] && [ "$(du -sk "$OBJECTS" | cut -f1)" -le {MOST_MB * 1024} ]; then
  mv "$OBJECTS" /out/{_KEPT}
fi
"""
"""What ends a build that keeps its objects."""


def compilers() -> dict[str, bytes]:
    """The scripts before the compilers, by their place inside the sandbox."""
    names = ("gcc", "g++", "cc", "c++", "clang", "clang++")
    return {f"/compilers/{name}": _BEFORE.encode() for name in names}


def apart(artefacts: Mapping[str, bytes]) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """What a build left for its users, and its objects by name."""
    made, kept = {}, {}
    for path, content in artefacts.items():
        place = PurePosixPath(path)
        if place.parts[0] == _KEPT:
            kept[place.name] = content
        else:
            made[path] = content
    return made, kept
