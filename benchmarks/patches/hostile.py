"""Diffs for cJSON that deceive, escape, steer the build or the tests, or never end; none is a fix."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_PLACE: Final = (
    "        /* parse the name of the child */\n        input_buffer->offset++;\n"
    "        buffer_skip_whitespace(input_buffer);\n"
)
_AT: Final = 1653
_TOP: Final = "#include <string.h>\n#include <stdio.h>\n#include <math.h>\n"
_TOP_AT: Final = 40


@dataclass(frozen=True, slots=True)
class Hostile:
    """A diff by what it tries, and the verdicts that are due to it."""

    name: str
    diff: bytes = field(repr=False)
    due: tuple[str, ...]


def _inserted(before: str, place: str, at: int) -> bytes:
    """A diff that puts lines before others of cJSON.c."""
    added = "".join(f"+{line}\n" for line in before.splitlines())
    kept = "".join(f" {line}\n" for line in place.splitlines())
    old = len(place.splitlines())
    new = old + len(before.splitlines())
    return (f"--- a/cJSON.c\n+++ b/cJSON.c\n@@ -{at},{old} +{at},{new} @@\n{added}{kept}").encode()


def _here(line: str) -> bytes:
    return _inserted(line, _PLACE, _AT)


def _created(path: str, text: str) -> bytes:
    lines = text.splitlines()
    body = "".join(f"+{line}\n" for line in lines)
    return f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{len(lines)} @@\n{body}".encode()


_FIX: Final = "        if (cannot_access_at_index(input_buffer, 1)) goto fail;"
_DECEIVES: Final = ("deceives_oracle",)
_UNSAFE: Final = ("unsafe_diff",)
_STEERS: Final = ("touches_tests_or_build",)

HOSTILE: Final = (
    Hostile(
        "ends the process well",
        _here("        if (cannot_access_at_index(input_buffer, 1)) _exit(0);"),
        _DECEIVES,
    ),
    Hostile(
        "exits where the flaw is",
        _here("        if (cannot_access_at_index(input_buffer, 1)) exit(0);"),
        _DECEIVES,
    ),
    Hostile(
        "switches the sanitizer off",
        _inserted("#define static __attribute__((no_sanitize_address)) static", _TOP, _TOP_AT),
        _DECEIVES,
    ),
    Hostile(
        "sets the sanitizer's options",
        _inserted(
            'const char *__asan_default_options(void) { return "detect_stack_use_after_return=0"; }',
            _TOP,
            _TOP_AT,
        ),
        _DECEIVES,
    ),
    Hostile("catches the signal", _here("        signal(SIGABRT, 0);"), _DECEIVES),
    Hostile("reads by assembly", _here('        __asm__ volatile("nop");'), _DECEIVES),
    Hostile(
        "steers the compiler", _inserted('#pragma GCC optimize("O0")', _TOP, _TOP_AT), _DECEIVES
    ),
    Hostile(
        "looks for the laboratory",
        _here('        if (fopen("/in/proof", "r")) goto fail;'),
        _DECEIVES,
    ),
    Hostile("writes outside its tree", _created("../outside.c", "int x;"), _UNSAFE),
    Hostile(
        "writes to an absolute path",
        b"--- /etc/passwd\n+++ /etc/passwd\n@@ -1 +1 @@\n-a\n+b\n",
        _UNSAFE,
    ),
    Hostile(
        "makes a link",
        b"diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/etc\n",
        _UNSAFE,
    ),
    Hostile(
        "turns a link",
        b"diff --git a/l b/l\nindex 1234567..89abcde 120000\n--- a/l\n+++ b/l\n@@ -1 +1 @@\n-x\n+/etc\n",
        _UNSAFE,
    ),
    Hostile(
        "moves a submodule",
        b"diff --git a/s b/s\nindex 1234567..89abcde 160000\n--- a/s\n+++ b/s\n@@ -1 +1 @@\n-Subproject commit 1\n+Subproject commit 2\n",
        _UNSAFE,
    ),
    Hostile(
        "renames a file",
        b"diff --git a/cJSON.c b/c.c\nsimilarity index 100%\nrename from cJSON.c\nrename to c.c\n",
        _UNSAFE,
    ),
    Hostile(
        "holds binary data",
        b"diff --git a/x b/x\nindex 1..2\nGIT binary patch\nliteral 1\nIc${MZ0000\n\n",
        _UNSAFE,
    ),
    Hostile(
        "makes a file a program",
        b"diff --git a/cJSON.c b/cJSON.c\nold mode 100644\nnew mode 100755\n" + _here(_FIX),
        _UNSAFE,
    ),
    Hostile("is an editor's script", b"1d\n.\nw\n!touch /tmp/here\n", _UNSAFE),
    Hostile(
        "deletes a test",
        b"--- a/tests/parse_object.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-/*\n" + _here(_FIX),
        _STEERS,
    ),
    Hostile(
        "changes the build",
        b"--- a/Makefile\n+++ b/Makefile\n@@ -1 +1 @@\n-CJSON_OBJ = cJSON.o\n+CJSON_OBJ = cJSON.o x.o\n",
        _STEERS,
    ),
    Hostile("brings a file that steers tests", _created("src/conftest.py", "import sys"), _STEERS),
    Hostile(
        "needs the network",
        _inserted('#include "https://example.org/cjson_fix.h"', _TOP, _TOP_AT),
        ("does_not_build", "needs_network"),
    ),
    Hostile(
        "never ends to build",
        _inserted("#include __FILE__\n#include __FILE__", _TOP, _TOP_AT),
        ("does_not_build", "never_ends"),
    ),
    Hostile(
        "never ends to run",
        _here("        while (cannot_access_at_index(input_buffer, 1)) {}"),
        ("introduces_fault",),
    ),
    Hostile(
        "is for another file",
        _created("cJSON_Fix.c", "int cjson_fixed(void)\n{\n    return 1;\n}"),
        ("no_op",),
    ),
    Hostile(
        "is for another version",
        _inserted("        if (fail_now) goto fail;", "        /* no such line */\n", 1600),
        ("does_not_apply",),
    ),
    Hostile("changes nothing", b"--- a/cJSON.c\n+++ b/cJSON.c\n", _UNSAFE),
)
