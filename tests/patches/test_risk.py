"""Attempts to deceive an oracle are refused by name, and risky constructs told with their place."""

from __future__ import annotations

import pytest

from clearhold.patches.risk import deceptions, summary
from clearhold.validation.diff import Diff, read_diff


def _added(path: str, *lines: str, before: str = "kept") -> Diff:
    body = "".join(f"+{line}\n" for line in lines)
    return read_diff(
        f"--- a/{path}\n+++ b/{path}\n@@ -1 +1,{len(lines) + 1} @@\n {before}\n{body}".encode()
    )


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a.c", '__attribute__((no_sanitize("address"))) static int f(void);'),
        ("a.c", "const char *__asan_default_options(void) { return 0; }"),
        ("a.c", "signal(SIGSEGV, SIG_IGN);"),
        ("a.c", '__asm__ volatile ("nop");'),
        ("a.cc", "#pragma clang optimize off"),
        ("a.c", "if (bad) _exit(0);"),
        ("a.h", "#if defined(FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION)"),
        ("a.py", "os._exit(0)"),
        ("a.py", "sys.settrace(None)"),
        ("a.js", "process.exit(0);"),
        ("a.js", "const {Module} = require('node:module');"),
        ("a.js", "if (fs.existsSync('/oracle/task.json')) return;"),
        ("a.y", "exit(0);"),
        ("a.c", "if (bad) exit(65);"),
        ("a.c", '#pragma GCC optimize("O0")'),
    ],
)
def test_what_could_hide_a_flaw_is_found(path: str, line: str) -> None:
    (spot,) = deceptions(_added(path, line), lambda _: "")[:1]
    assert (spot.path, spot.line) == (path, 2)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a.c", "// never call _exit(0) here"),
        ("a.c", "if (length > room) return -1;"),
        ("a.c", "#pragma once"),
        ("a.c", "if (bad) exit(EXIT_FAILURE);"),
        ("a.py", "# os._exit is not for libraries"),
        ("a.py", "raise ValueError('too long')"),
        ("a.js", "throw new TypeError('bad path');"),
        ("README.md", "It calls exit() when it is done."),
    ],
)
def test_what_is_harmless_is_left_alone(path: str, line: str) -> None:
    assert deceptions(_added(path, line), lambda _: "") == ()


def test_what_a_file_did_already_is_no_news() -> None:
    diff = _added("main.c", "if (bad) exit(status);")
    assert deceptions(diff, lambda _: "int main(void) { exit(status); }") == ()
    assert deceptions(diff, lambda _: "int main(void) { exit(1); }")
    pragma = _added("a.c", '#pragma GCC optimize("O0")')
    assert deceptions(pragma, lambda _: "#pragma GCC visibility push(default)\n")


def test_risky_constructs_are_told_with_their_place() -> None:
    diff = _added("a.c", "memcpy(to, from, size);", "p = malloc(count * size);", "printf(text);")
    told = summary(diff, lambda _: "int f(void)\n{\nkept\n")
    assert {each["what"] for each in told["constructs"]} == {
        "memory function",
        "size computed without a check",
        "format that is no literal",
    }
    assert [each["line"] for each in told["constructs"]] == [2, 3, 4]
    assert told["files"][0]["functions"] == ["f"]


def test_a_removed_assertion_is_counted() -> None:
    diff = read_diff(b"--- a/a.c\n+++ b/a.c\n@@ -1,2 +1 @@\n kept\n-assert(size < room);\n")
    assert summary(diff, lambda _: "")["assertions_removed"] == 1
