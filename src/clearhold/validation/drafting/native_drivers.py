"""Drivers of a native package: its own fuzz harnesses first, then what its headers declare."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from clearhold.validation.drafting.draft import quoted, text_of

STANDALONE: Final = "standalone.c"
_MOST_HARNESSES: Final = 12
_MOST_CALLS: Final = 10
_MOST_FUNCTIONS: Final = 5000
_MOST_HEADERS: Final = 60
_LONGEST_NAME: Final = 100
_ENTRY: Final = re.compile(r"\bLLVMFuzzerTestOneInput\s*\(")
_DECLARED: Final = re.compile(
    r"(?:^|[;}])\s*((?:[A-Za-z_]\w*[\s*]+)+?)(\w+)\s*\(([^(){};]*)\)\s*(?:\b[A-Z_]\w*(?:\([^()]*\))?\s*)*(?=;)"
)
_LIKELY: Final = re.compile(
    r"parse|load|decode|read|open|from|scan|compile|import|deserial|unserial|unpack|extract|convert|"
    r"render|string|buffer|mem(?:ory)?|data|process|identify|inspect",
    re.IGNORECASE,
)
_UNLIKELY: Final = re.compile(
    r"str(?:n?cmp|n?casecmp|dup|len)|^(?:is|has)_|_(?:is|has|set|add|put|print|log|error|find|remove|"
    r"delete|free|write|save|register|insert|append|compare|equals?|get|dump|encode)(?:_|$)|"
    r"Set|Add|Print|Write|Save|Find|Replace|Has[A-Z]|Is[A-Z]|Error|Log|Dump|Encode|Delete|Create"
)
_MOST_STORIES: Final = 8
_FINISHES: Final = re.compile(r"complete|finish|final|flush|(?:_end|End)$")
_CHANGES: Final = re.compile(
    r"_(?:set|unset|add|put|remove|del|insert|append|clear)|Set|Add|Remove"
)
_SEPARATORS: Final = r'''" \t\r\n=;,:[]{}()<>\"'"'''
_BASIC: Final = frozenset(
    {"int", "char", "long", "short", "unsigned", "double", "float", "void", "size_t", "bool"}
)
_RELEASES: Final = re.compile(
    r"free|delete|destroy|close|unref|release|dispose|cleanup", re.IGNORECASE
)
_MAKES: Final = re.compile(r"create|new|init|alloc|open", re.IGNORECASE)

_HARNESS_MAIN: Final = """\
/* Gives the proof to the project's own fuzz harness. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAXIMUM (4 * 1024 * 1024)
#define UNUSABLE_PROOF 65

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
__attribute__((weak)) int LLVMFuzzerInitialize(int *count, char ***arguments);

int main(int count, char **arguments) {
  FILE *file = count == 2 ? fopen(arguments[1], "rb") : NULL;
  static uint8_t given[MAXIMUM + 1];
  if (file == NULL) return UNUSABLE_PROOF;
  size_t length = fread(given, 1, sizeof given, file);
  fclose(file);
  if (length > MAXIMUM) return UNUSABLE_PROOF;
  if (LLVMFuzzerInitialize != NULL) LLVMFuzzerInitialize(&count, &arguments);
  /* Exactly as large as the proof, so that a read beyond it is seen. */
  uint8_t *data = malloc(length ? length : 1);
  if (data == NULL) return 1;
  memcpy(data, given, length);
  LLVMFuzzerTestOneInput(data, length);
  free(data);
  return 0;
}
"""
_CALL: Final = """\
/* A fuzz harness: gives the proof to {function}(). */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "{header}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {{
  char *given = malloc(length + 1);
  if (given == NULL) return 0;
  memcpy(given, data, length);
  given[length] = 0;
{file}  /* Exactly as large as the proof, so that a read beyond it is seen. */
  char *text = malloc(length{more});
  if (text == NULL) return 0;
  memcpy(text, given, length);
{ended}{before}  {call};
{then}{after}  free(text);
  free(given);
  return 0;
}}
"""
_AS_FILE: Final = """\
  FILE *file = tmpfile();
  if (file == NULL) return 0;
  fwrite(data, 1, length, file);
  rewind(file);
"""
_ROOM: Final = """\
  /* Room for what it gives back by pointers to numbers and pointers. */
  static long long room[{most}][4];
  memset(room, 0, sizeof room);
"""
_AS_NAME: Final = """\
  static const char name[] = "/tmp/proof";
  FILE *file = fopen(name, "wb");
  if (file == NULL) return 0;
  fwrite(data, 1, length, file);
  fclose(file);
"""


@dataclass(frozen=True, slots=True)
class Driver:
    """A program that gives the project a proof.

    `sources` are words of a shell script, `files` what the recipe holds of them. `program` is the
    package's own program that it runs, if it does, and `argv` how it is called, if otherwise than by
    the proof's name alone.
    """

    name: str
    summary: str
    sources: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    program: str = ""
    argv: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Function:
    """A function as a header declares it: parameters are pairs of type and name."""

    result: str
    name: str
    parameters: tuple[tuple[str, str], ...]
    header: str


class _Library:
    """All that headers declare; what is looked for by a type is looked for once."""

    def __init__(self, functions: Sequence[_Function]) -> None:
        self.maker = functools.cache(lambda type_: _maker(type_, functions))
        self.release = functools.cache(lambda type_: _release(type_, functions))
        self.finishing = functools.cache(lambda type_: _finishing(type_, functions))


def distinct(drivers: Sequence[Driver]) -> list[Driver]:
    """The drivers under names of their own: builds and recipes tell them apart by nothing else."""
    seen: set[str] = set()
    found = []
    for each in drivers:
        numbered = (f"{each.name}-{count}" for count in itertools.count(2))
        name = next(name for name in itertools.chain([each.name], numbered) if name not in seen)
        seen.add(name)
        found.append(replace(each, name=name))
    return found


def harnesses(tree: Path) -> list[Driver]:
    """The fuzz harnesses that the project has of its own."""
    found = []
    for path in sorted(tree.rglob("*")):
        if path.suffix not in {".c", ".cc", ".cpp", ".cxx"} or not _ENTRY.search(text_of(path)):
            continue
        inside = path.relative_to(tree).as_posix()
        name = re.sub(r"[^a-z0-9]+", "-", path.stem.lower())[:_LONGEST_NAME].strip("-") or "own"
        found.append(
            Driver(
                f"fuzz-{name}",
                f"the proof goes to the project's fuzz harness {path.name}",
                (f'"$SRC"/{quoted(inside)}', f'"$RECIPE/{STANDALONE}"'),
                {STANDALONE: _HARNESS_MAIN.encode()},
            )
        )
    return found[:_MOST_HARNESSES]


def calls(name: str, tree: Path, words: str = "", *, most: int = _MOST_CALLS) -> list[Driver]:
    """Drivers that call what public headers declare to take a text, a buffer, a file or its name.

    `words` is what the fix and the record say; a function they name is the likelier one.
    """
    functions = list(itertools.islice(_declared(name, tree), _MOST_FUNCTIONS))
    library = _Library(functions)
    ranked = []
    for place, function in enumerate(functions):
        text = _call(function, library)
        if text is None:
            continue
        score = 2 * bool(_LIKELY.search(function.name)) - 3 * bool(_UNLIKELY.search(function.name))
        score += 4 * bool(re.search(rf"\b{re.escape(function.name)}\b", words))
        ranked.append((-score, place, function, text))
    drivers: dict[str, Driver] = {}
    makers: dict[str, _Function] = {}
    for negative, _, function, text in sorted(ranked, key=lambda each: each[:2]):
        if negative > 0 or function.name in drivers:
            continue
        makers.setdefault(_plain(function.result), function)
        drivers[function.name] = _driver(
            function.name, f"the proof goes to {function.name}()", text
        )
    return [
        *list(drivers.values())[:most],
        *_stories(functions, makers, words, library)[:_MOST_STORIES],
    ]


def _driver(name: str, summary: str, text: str) -> Driver:
    file = f"{name}.c"
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return Driver(
        plain,
        summary,
        (f'"$RECIPE/{file}"', f'"$RECIPE/{STANDALONE}"'),
        {file: text.encode(), STANDALONE: _HARNESS_MAIN.encode()},
    )


def _stories(
    functions: Sequence[_Function],
    makers: Mapping[str, _Function],
    words: str,
    library: _Library,
) -> list[Driver]:
    """Drivers that do something with what a call made of the proof, those that `words` name first."""
    found: dict[str, tuple[bool, int, Driver]] = {}
    for place, then in enumerate(functions):
        taken = _plain(then.parameters[0][0]) if then.parameters else ""
        maker = makers.get(taken)
        named = bool(re.search(rf"\b{re.escape(then.name)}\b", words))
        if maker is None or maker.name == then.name or not taken.endswith("*"):
            continue
        if _RELEASES.search(then.name) or (_CHANGES.search(then.name) and not named):
            continue
        text = _call(maker, library, then)
        if text is not None:
            told = f"the proof goes to {maker.name}(), what that made to {then.name}()"
            driver = _driver(f"{maker.name}_then_{then.name}", told, text)
            found.setdefault(driver.name, (not named, place, driver))
    return [driver for _, _, driver in sorted(found.values(), key=lambda each: each[:2])]


def _plain(type_: str) -> str:
    return type_.replace("const ", "")


def _declared(name: str, tree: Path) -> Iterator[_Function]:
    """Functions that public headers declare, of the header named like the package first."""
    plain = name.lower().removeprefix("lib")
    headers = [
        path
        for path in sorted(tree.rglob("*.h"))
        if not re.search(
            r"(?:^|/)(?:tests?|examples?|debian|win32|fuzz\w*|contrib|docs?|\.\w+)/|internal|private|config",
            path.relative_to(tree).as_posix(),
        )
    ]
    headers.sort(
        key=lambda path: (
            path.stem.lower().removeprefix("lib") != plain,
            "include" not in path.parts,
            plain not in path.stem.lower(),
        )
    )
    for path in headers[:_MOST_HEADERS]:
        parts = path.relative_to(tree).parts
        under = parts[parts.index("include") + 1 :] if "include" in parts else parts[-1:]
        yield from _functions(text_of(path), "/".join(under))


def _functions(text: str, header: str) -> Iterator[_Function]:
    text = re.sub(r"/\*(?:(?!\*/).)*|//[^\n]*", " ", text, flags=re.DOTALL).replace("*/", " ")
    text = re.sub(r"(?m)^[ \t]*#(?:[^\n\\]|\\\n|\\.)*$", "", text)
    text = re.sub(r'extern\s*"C"\s*\{?', ";", text)
    # An export macro around the type, or one that stands before it.
    text = re.sub(r"\b[A-Z][A-Z0-9_]*\s*\(([^()]*)\)\s+(?=\w+\s*\()", r"\1 ", text)
    text = re.sub(r"\b(\w+)\s+OF\(\((.{0,2000}?)\)\)", r"\1(\2)", text, flags=re.DOTALL)
    text = re.sub(r"\(\s*(\w+)\s*\)\s*\(", r"\1(", text)
    for found in _DECLARED.finditer(text):
        words = [
            each
            for each in re.findall(r"\w+|\*", found[1])
            if each not in {"extern", "static", "inline", "__inline", "ZEXTERN", "ZEXPORT"}
        ]
        words = [
            each
            for each in words
            if not re.fullmatch(
                r"[A-Z0-9_]*(?:API|EXPORT|PUBLIC|FUN|EXTERN|CALL|DECL\w*|FUNC)[A-Z0-9_]*", each
            )
        ]
        if not words or words[0] in {"return", "typedef", "else", "define"}:
            continue
        if len(found[2]) > _LONGEST_NAME:  # files are called after it
            continue
        parameters = tuple(
            _parameter(each) for each in found[3].split(",") if each.strip() not in {"", "void"}
        )
        yield _Function(" ".join(words), found[2], parameters, header)


def _parameter(text: str) -> tuple[str, str]:
    words = re.findall(r"\w+|\*|\[|\.\.\.", text)
    named = len(words) > 1 and re.fullmatch(r"\w+", words[-1]) and words[-2] != "const"
    if named and words[-1] not in _BASIC:
        return " ".join(words[:-1]), words[-1]
    return " ".join(words), ""


def _is_length(kind: str) -> bool:
    return bool(
        re.fullmatch(
            r"(?:const )?(?:unsigned |signed )?(?:size_t|int|long|unsigned|uint\d+_t|int\d+_t|u?int|ssize_t|"
            r"uLong|uInt|off_t|gsize|DWORD|\w*(?:size|len)\w*)(?: int| long)?",
            kind,
            re.IGNORECASE,
        )
    )


def _is_bytes(kind: str) -> bool:
    return bool(
        re.fullmatch(
            r"(?:const )?(?:unsigned )?(?:char|void|u?int8_t|uint8|u8|Bytef?|\w*[cC]har|\w*byte\w*)(?: const)? \*(?: const)?",
            kind,
            re.IGNORECASE,
        )
    )


def _is_slot(kind: str) -> bool:
    """Whether a pointer is to a number or to a pointer that the function may write."""
    if "const *" in kind or not kind.endswith("*"):
        return False
    pointed = kind.removesuffix("*").rstrip()
    return pointed.endswith("*") or ("const" not in pointed and _is_length(pointed))


def _call(  # noqa: C901, PLR0912 - one branch for each form of a parameter
    function: _Function, library: _Library, then: _Function | None = None
) -> str | None:
    """A driver that calls `function`; None when it takes nothing that a proof could be.

    With `then`, that is called with what the first call made.
    """
    arguments: list[str] = []
    kind = before = after = ""
    parameters = function.parameters
    for place, (type_, name) in enumerate(parameters):
        follows = parameters[place + 1][0] if place + 1 < len(parameters) else ""
        if arguments and arguments[-1] == "text" and kind == "buffer" and _is_length(type_):
            arguments.append("length")
        elif (
            not kind
            and _is_bytes(type_)
            and re.search(r"file_?name|path|fname|^file$", name, re.IGNORECASE)
        ):
            kind = "name"
            arguments.append("name")
        elif not kind and _is_bytes(type_) and "const" in type_ and _is_length(follows):
            kind = "buffer"
            arguments.append("text")
        elif not kind and "const" in type_ and re.search(r"[cC]har", type_) and _is_bytes(type_):
            kind = "text"
            arguments.append("text")
        elif not kind and re.fullmatch(r"FILE \*", type_):
            kind = "file"
            arguments.append("file")
        elif place == 0 and (maker := library.maker(type_)):
            space = "" if type_.endswith("*") else " "
            before = f"  {type_}{space}subject = {maker.name}({_nothing(maker)});\n"
            after = "".join(f"  {each}(subject);\n" for each in library.finishing(type_))
            released = library.release(type_)
            after += f"  {released.name}(subject);\n" if released else ""
            arguments.append("subject")
        elif place == 0 and type_.endswith("*") and "const" not in type_ and not _is_bytes(type_):
            return None
        elif _is_slot(type_):
            arguments.append(f"(void *)room[{place}]")
        elif type_.endswith(("*", "[")):
            arguments.append("NULL")
        elif type_ == "...":
            continue
        else:
            arguments.append("0")
    if not kind:
        return None
    if any("room[" in each for each in arguments):
        before = _ROOM.format(most=len(parameters)) + before
    call = f"{function.name}({', '.join(arguments)})"
    if function.result.endswith("*") and re.search(r"\w", function.result.replace("const", "")):
        call = f"{function.result}result = {call}"
        released = library.release(function.result)
        if released:
            after = f"  if (result != NULL) {released.name}(result);\n{after}"
    following = "" if then is None else _with_result(then)
    if following is None:
        return None
    return _CALL.format(
        function=function.name,
        header=function.header,
        file={"file": _AS_FILE, "name": _AS_NAME}.get(kind, ""),
        more=" ? length : 1" if kind == "buffer" else " + 1",
        ended="" if kind == "buffer" else "  text[length] = 0;\n",
        before=before,
        call=call,
        then=following,
        after=after + ("  fclose(file);\n" if kind == "file" else ""),
    )


def _with_result(then: _Function) -> str | None:
    """The lines that call `then` with the result of another; None when it wants what there is not.

    A text is each word of the proof in turn.
    """
    arguments = ["result"]
    for type_, _ in then.parameters[1:]:
        if "const" in type_ and "char" in type_.lower() and _is_bytes(type_):
            arguments.append("word")
        elif re.fullmatch(r"FILE \*", type_):
            arguments.append("stdout")
        elif _is_bytes(type_):
            return None
        elif arguments[-1] == "word" and _is_length(type_):
            arguments.append("strlen(word)")
        elif type_ != "...":
            arguments.append("NULL" if type_.endswith(("*", "[")) else "0")
    call = f"{then.name}({', '.join(arguments)});"
    if "word" not in arguments:
        return f"  if (result != NULL) {call}\n"
    return (
        f"  const char *ends = {_SEPARATORS};\n"
        "  if (result != NULL) {\n"
        "    for (char *word = strtok(given, ends); word != NULL; word = strtok(NULL, ends))\n"
        f"      {call}\n  }}\n"
    )


def _finishing(type_: str, functions: Sequence[_Function]) -> list[str]:
    """What ends the work of an object without releasing it."""
    return [
        each.name
        for each in functions
        if [kind for kind, _ in each.parameters] == [type_]
        and _FINISHES.search(each.name)
        and not _RELEASES.search(each.name)
    ][:1]


def _maker(type_: str, functions: Sequence[_Function]) -> _Function | None:
    """What makes an object of a type without being given another; None for types that are no such."""
    if "const" in type_ or _is_bytes(type_) or set(re.findall(r"\w+", type_)) <= _BASIC:
        return None
    makers = [
        each
        for each in functions
        if each.result == type_
        and _MAKES.search(each.name)
        and not any(
            _is_bytes(kind) and "const" in kind and kind.endswith("*") and len(each.parameters) > 2
            for kind, _ in each.parameters
        )
    ]
    return min(makers, key=lambda each: len(each.parameters), default=None)


def _nothing(function: _Function) -> str:
    return ", ".join(
        "NULL" if kind.endswith(("*", "[")) else "0" for kind, _ in function.parameters
    )


def _release(type_: str, functions: Sequence[_Function]) -> _Function | None:
    released = [
        each
        for each in functions
        if len(each.parameters) == 1
        and _plain(each.parameters[0][0]) == _plain(type_)
        and _RELEASES.search(each.name)
    ]
    return min(released, key=lambda each: len(each.name), default=None)
