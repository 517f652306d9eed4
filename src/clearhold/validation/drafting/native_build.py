"""Scripts that build a native package and drivers for it, one for each way that projects are built.

Every way is strict: a unit that does not compile, or a project whose own build fails, is a build
that failed. Only drivers that are still to be tried may be left out.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clearhold.validation.drafting.draft import quoted, text_of
from clearhold.validation.drafting.native_drivers import STANDALONE, Driver

NOT_BUILT: Final = re.compile(
    r"(?:^|/)(?:tests?|testsuite|examples?|bench\w*|fuzz\w*|docs?|tools?|perf|demos?|contrib|win32|"
    r"windows|verify|debian|m4|\.\w+)/",
    re.IGNORECASE,
)
_MOST_UNITS: Final = 120
_MOST_INCLUDES: Final = 40
_MAIN: Final = re.compile(r"(?m)^(?:[^\s/*#].*\b)?main\s*\(")

_HEAD: Final = """\
#!/bin/sh
set -eu
# Programs that a build itself runs may lose memory.
export ASAN_OPTIONS=detect_leaks=0 CC CXX CFLAGS CXXFLAGS
mkdir -p "$WORK/made"
"""
_UNITS: Final = """\
cd "$SRC"
{generated}for unit in {units}; do
  object=$WORK/made/$(printf %s "$unit" | tr '/ ' '__').o
  case $unit in
    *.c) "$CC" $CFLAGS -w -D_GNU_SOURCE {includes} -c "$unit" -o "$object" ;;
    *) "$CXX" $CXXFLAGS -w -D_GNU_SOURCE {includes} -c "$unit" -o "$object" ;;
  esac
done
ar rc "$WORK/made/libproject.a" "$WORK"/made/*.o
"""
_CMAKE: Final = """\
cmake -S {place} -B "$WORK/made" -DCMAKE_BUILD_TYPE=None -DBUILD_SHARED_LIBS=OFF >&2
cmake --build "$WORK/made" -j2 >&2
"""
_CONFIGURE: Final = """\
cd {place}
# Patches to its input are no reason to make the build system anew.
for file in aclocal.m4 configure config.h.in Makefile.in; do
  find . -name "$file" -exec touch {{}} +
done
./configure --disable-shared --enable-static --disable-dependency-tracking >&2
make -j2 ACLOCAL=: AUTOCONF=: AUTOMAKE=: AUTOHEADER=: MAKEINFO=: >&2
"""
_AUTORECONF: Final = """\
cd {place}
autoreconf -fi >&2
./configure --disable-shared --enable-static --disable-dependency-tracking >&2
make -j2 MAKEINFO=: >&2
"""
_MESON: Final = """\
meson setup --buildtype=plain --default-library=static --wrap-mode=nodownload \
  "$WORK/made" {place} >&2
ninja -C "$WORK/made" -j2 >&2
"""
_MAKE: Final = """\
cd {place}
# By the compiler's name, so that the flags of the project's own file stay.
make {arguments}CC="$CC $CFLAGS -w" CXX="$CXX $CXXFLAGS -w" >&2
"""
_DRIVE: Final = """\
cd "$SRC"
libraries=$(find "$WORK" "$SRC" -name '*.a')
if [ -z "$libraries" ]; then
  objects=$(find "$WORK" "$SRC" -name '*.o' | sort | while read -r each; do
    nm "$each" 2>/dev/null | grep -q ' T main$' || echo "$each"
  done)
  [ -z "$objects" ] || ar rc "$WORK/libproject.a" $objects
  [ -z "$objects" ] || libraries=$WORK/libproject.a
fi
made=$(find "$WORK" -name '*.h' -printf '-I%h\\n-I%h/..\\n' | sort -u)
drive() {{
  name=$1; shift; objects=
  for source in "$@"; do
    # A fuzzer brings a main of its own.
    [ "$FLAVOUR:${{source##*/}}" != fuzz:{standalone} ] || continue
    object=$WORK/$name-$(basename "$source").o
    case $source in
      *.c) "$CC" $CFLAGS -w {includes} $made -c "$source" -o "$object" || return 1 ;;
      *) "$CXX" $CXXFLAGS -w {includes} $made -c "$source" -o "$object" || return 1 ;;
    esac
    objects="$objects $object"
  done
  "$CXX" $CXXFLAGS $LIB_FUZZING_ENGINE $objects -Wl,--start-group $libraries -Wl,--end-group -lm -lpthread -ldl \\
    -o "$OUT/$name"
}}
take() {{
  found=$(find "$WORK" "$SRC" -type f -name "$1" -perm -u+x | while read -r each; do
    [ "$(head -c 4 "$each" | tail -c 3)" != ELF ] || echo "$each"
  done | head -n 1)
  [ -n "$found" ] && cp "$found" "$OUT/run-$1"
}}
"""


@dataclass(frozen=True, slots=True)
class Way:
    """One way of building: its name, the commands it needs, and what makes the library.

    `links` says that programs are linked here, of their source; else the project has made them.
    """

    name: str
    needs: tuple[str, ...]
    body: str
    includes: str
    links: bool = False

    def tried(self, drivers: Sequence[Driver]) -> bytes:
        """The script that compiles what it can of drivers that are to be tried."""
        lines = {
            self._made(each): f'{self._made(each)} || echo "left out: {each.name}" >&2'
            for each in reversed(drivers)
        }
        return self._script(list(lines.values())[::-1])

    def kept(self, *drivers: Driver) -> bytes:
        """The script that compiles these drivers, and fails when one of them does."""
        return self._script([self._made(each) for each in drivers])

    def _made(self, driver: Driver) -> str:
        """The line that makes a driver, or takes a program that the project has made."""
        if driver.program and not self.links:
            return f"take {shlex.quote(driver.program)}"
        if not driver.sources:
            return f"false  # {driver.name} is made by the project's own build alone"
        made = f"run-{driver.program}" if driver.program else driver.name
        return f"drive {shlex.quote(made)} {' '.join(driver.sources)}"

    def _script(self, lines: Sequence[str]) -> bytes:
        drive = _DRIVE.format(includes=self.includes, standalone=STANDALONE)
        return (_HEAD + self.body + drive + "\n".join(lines) + "\n").encode()


def ways(tree: Path, version: str) -> list[Way]:
    """The ways in which the project at `tree` may be built, the quickest first."""
    includes = " ".join(f'-I"$SRC"/{quoted(each)}' for each in _include_places(tree))
    found: list[Way] = []
    if units := _by_units(tree, version, includes):
        found.append(units)
    if place := _shallowest(tree, "CMakeLists.txt", r"(?i)\bproject\s*\("):
        found.append(Way("cmake", ("cmake", "make"), _CMAKE.format(place=place), includes))
    if place := _shallowest(tree, "configure", r"config\.status"):
        found.append(Way("configure", ("make",), _CONFIGURE.format(place=place), includes))
    elif place := _shallowest(tree, "configure.ac", "AC_INIT") or _shallowest(
        tree, "configure.in", "AC_INIT"
    ):
        needs = ("autoconf", "automake", "libtoolize", "make")
        found.append(Way("autoreconf", needs, _AUTORECONF.format(place=place), includes))
    if place := _shallowest(tree, "meson.build", r"\bproject\s*\("):
        found.append(Way("meson", ("meson", "ninja"), _MESON.format(place=place), includes))
    if not any(way.name in {"cmake", "configure", "autoreconf", "meson"} for way in found):
        found += _by_make(tree, includes)
    return found


def _by_make(tree: Path, includes: str) -> list[Way]:
    """Plain make, by the first file of that kind that there is at the top or below `unix`."""
    names = (
        *("Makefile", "makefile", "GNUmakefile", "Makefile.linux", "Makefile.Linux"),
        *("makefile.unix", "Makefile.unix", "unix/Makefile", "src/Makefile"),
    )
    file = next((each for each in names if text_of(tree / each)), "")
    if not file:
        return []
    place, _, name = file.rpartition("/")
    if place == "unix":
        place, name = "", file
    arguments = "" if name in names[:3] else f"-f {quoted(name)} "
    rules = set(re.findall(r"(?m)^([A-Za-z][\w-]*)\s*:(?!=)", text_of(tree / file)))
    if arguments:
        # Where a file is for one kind of system, what it makes by itself may be advice alone.
        known = [each for each in ("generic", "linux", "unix") if each in rules]
        arguments += "".join(f"{each} " for each in known[:1])
    body = _MAKE.format(place=f'"$SRC"/{quoted(place or ".")}', arguments=arguments)
    return [Way("make", ("make",), body, includes)]


def units_of(tree: Path) -> list[str]:
    """What is compiled of a tree, by path in it: no tests, and nothing that has a `main`."""
    paths = {
        path.relative_to(tree).as_posix(): path
        for path in sorted(tree.rglob("*"))
        if path.suffix in {".c", ".cc", ".cpp", ".cxx"} and path.is_file()
    }
    return [
        inside
        for inside, path in paths.items()
        if not NOT_BUILT.search(inside) and not _MAIN.search(text_of(path))
    ]


def programs_of(tree: Path) -> list[str]:
    """Sources that have a `main` and are no tests or examples, by path in the tree."""
    found = []
    for path in sorted(tree.rglob("*")):
        inside = path.relative_to(tree).as_posix()
        where = re.sub(r"(?:^|/)(?:tools?|contrib)/", "/", inside)
        source = path.suffix in {".c", ".cc", ".cpp", ".cxx"} and not NOT_BUILT.search(where)
        if source and _MAIN.search(text_of(path)):
            found.append(inside)
    return found


def _include_places(tree: Path) -> list[str]:
    """Directories of headers, relative to the tree, those of tests and the like last."""
    holding = {path.parent for path in tree.rglob("*.h")}
    places = sorted(
        {each.relative_to(tree).as_posix() for each in holding}
        | {path.relative_to(tree).as_posix() for path in tree.rglob("include") if path.is_dir()},
        key=lambda each: (bool(NOT_BUILT.search(f"{each}/")), each),
    )
    return list(dict.fromkeys((".", *places)))[:_MOST_INCLUDES]


def _shallowest(tree: Path, name: str, content: str) -> str:
    """Where the topmost file of that name and content lies, as a word of a script; or empty."""
    places = [
        path.parent
        for path in tree.rglob(name)
        if not NOT_BUILT.search(f"{path.parent.relative_to(tree).as_posix()}/")
        and re.search(content, text_of(path))
    ]
    if not places:
        return ""
    best = min(places, key=lambda each: (len(each.parts), each.as_posix()))
    return f'"$SRC"/{quoted(best.relative_to(tree).as_posix())}'


def _by_units(tree: Path, version: str, includes: str) -> Way | None:
    """Every unit compiled by itself; None when there are none, or too many for that to be likely."""
    units = units_of(tree)
    needs: list[str] = []
    generated = ""
    for suffix, tool, line in (
        (".y", "bison", "bison -d -o {out} {source}\n"),
        (".l", "flex", "flex -o {out} {source}\n"),
    ):
        for path in sorted(tree.rglob(f"*{suffix}")):
            inside = path.relative_to(tree).as_posix()
            out = f"{inside.removesuffix(suffix)}.c"
            if not NOT_BUILT.search(inside) and not (tree / out).is_file():
                generated += line.format(out=quoted(out), source=quoted(inside))
                units.append(out)
                needs.append(tool)
    for path in _templates(tree):
        inside = path.relative_to(tree).as_posix()
        out = re.sub(r"(?:\.cmake)?(?:\.in)?$", "", inside)
        generated += f"{_filled(version)} {quoted(inside)} >{quoted(out)}\n"
    if not 0 < len(units) <= _MOST_UNITS:
        return None
    listed = " \\\n  ".join(map(quoted, units))
    body = _UNITS.format(generated=generated, units=listed, includes=includes)
    return Way("units", tuple(dict.fromkeys(needs)), body, includes, links=True)


def _templates(tree: Path) -> list[Path]:
    """Templates of headers that are made by filling in a version."""
    found = [*tree.rglob("*.h.in"), *tree.rglob("*.h.cmake"), *tree.rglob("*.h.cmake.in")]
    return [
        path
        for path in sorted(found)
        if not NOT_BUILT.search(path.relative_to(tree).as_posix()) and "config" not in path.name
    ]


def _filled(version: str) -> str:
    """The command that fills a version into a template."""
    upstream = version.rpartition(":")[2].partition("-")[0]
    major, minor, patch = (re.findall(r"\d+", upstream) + ["0"] * 3)[:3]
    name = r"[A-Za-z0-9_]*"
    words = {"MAJOR": major, "MINOR": minor, "MICRO": patch, "PATCH": patch}
    words["VERSION"] = f"{major}.{minor}.{patch}"
    steps = "; ".join(
        f"s/@{name}{word}{name}@/{value}/g; s/${{{name}{word}{name}}}/{value}/g"
        for word, value in words.items()
    )
    return f"sed {quoted(steps)}"
