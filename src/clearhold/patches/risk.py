"""What a diff adds and removes, read as text: attempts to deceive an oracle, and what deserves a look.

Both are closed lists of patterns over the added lines. Whoever wants to hide from them can, so that
none was found shows nothing; but what is found is told with its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from clearhold.validation.diff import Change, Diff

_C: Final = frozenset({".c", ".h", ".cc", ".cpp", ".cxx", ".hh", ".hpp", ".inl", ".y", ".l", ".m"})
_PYTHON: Final = frozenset({".py", ".pyi", ".pyx"})
_NODE: Final = frozenset({".js", ".cjs", ".mjs", ".ts", ".jsx", ".tsx"})
_ANY: Final = _C | _PYTHON | _NODE
_DOCUMENTS: Final = frozenset({".md", ".rst", ".txt", ".adoc", ".html"})
_MOST_CONSTRUCTS: Final = 40
_LONGEST_LINE: Final = 160


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A construct: in files of these endings, what it is called, and why it is told."""

    endings: frozenset[str]
    expression: re.Pattern[str]
    name: str


def _pattern(endings: frozenset[str], expression: str, name: str) -> _Pattern:
    return _Pattern(endings, re.compile(expression), name)


_DECEPTIONS: Final = (
    _pattern(
        _C,
        r"no_sanitize|no_address_safety_analysis|disable_sanitizer_instrumentation"
        r"|__(asan|ubsan|msan|lsan|tsan|sanitizer|gcov|llvm_profile)_|SANITIZE_ADDRESS"
        r"|(address|memory|undefined_behavior)_sanitizer|FUZZING_BUILD_MODE|LLVMFuzzer",
        "speaks to the sanitizer or the fuzzer",
    ),
    _pattern(
        _C,
        r"\b(signal|sigaction|bsd_signal|sigprocmask)\s*\(|\bSIG(SEGV|ABRT|BUS|FPE|ILL|TRAP|XCPU)\b",
        "handles the signals that tell of a fault",
    ),
    _pattern(_C, r"\b(__asm__|__asm|asm)\b\s*(volatile|__volatile__)?\s*\(", "holds assembly"),
    _pattern(
        _C,
        r"#\s*pragma\s+(GCC|clang|optimize|weak|redefine_extname)\b.*|_Pragma\s*\(|__attribute__\s*\(\(\s*"
        r"(constructor|destructor|optimize|optnone|ifunc|alias)",
        "tells the compiler how to treat it",
    ),
    _pattern(
        _C,
        r"\b(_exit|_Exit|quick_exit|exit)\s*\((?!\s*(EXIT_FAILURE|-?(?!65\b)[1-9]\d*)\s*\))[^;]*"
        r"|\b(longjmp|siglongjmp|prctl|ptrace|setrlimit|syscall|dlsym|dlopen|raise|kill)\s*\(",
        "ends the process or goes round the usual calls",
    ),
    _pattern(
        _PYTHON,
        r"\bos\._exit\b|\bsys\.(exit|settrace|setprofile|addaudithook)\b|\b(quit|exit)\s*\("
        r"|\bSystemExit\b|\bos\.(kill|abort)\b|\b(faulthandler|atexit|ctypes)\b"
        r"|\bsignal\.\w+\s*\(",
        "ends the process or goes round the usual calls",
    ),
    _pattern(
        _NODE,
        r"\bprocess\s*\.\s*(exit|abort|kill|reallyExit|binding|dlopen|on|once|exitCode)\b"
        r"|\bprocess\s*\[|\bModule\s*\.\s*_|require\s*\(\s*['\"](node:)?(module|v8|vm|inspector"
        r"|worker_threads)['\"]",
        "ends the process or goes round the usual calls",
    ),
    _pattern(
        _ANY,
        r"[\"'`](/in/|/oracle/|/recipe/|/out/|/proc/self|/build/)|LD_PRELOAD|(A|UB|M|L)SAN_OPTIONS"
        r"|CLEARHOLD|clearhold.canary|NODE_OPTIONS|PYTHONPATH|NODE_V8_COVERAGE",
        "looks for the laboratory that judges it",
    ),
)
_RISKS: Final = (
    _pattern(
        _C,
        r"\b(memcpy|memmove|memset|strcpy|strncpy|strcat|strncat|sprintf|vsprintf|gets|alloca"
        r"|bcopy|stpcpy|wcscpy)\s*\(",
        "memory function",
    ),
    _pattern(
        _C,
        r"\b(malloc|realloc|calloc|alloca)\s*\([^;]*[\w)\]]\s*[*+]\s*[\w(]",
        "size computed without a check",
    ),
    _pattern(
        _C,
        r"\b(printf|syslog)\s*\(\s*[A-Za-z_]|\b(fprintf|sprintf|dprintf)\s*\([^,]+,\s*[A-Za-z_]",
        "format that is no literal",
    ),
    _pattern(_C, r"\((unsigned\s+)?(int|short|char|long)\)\s*[\w(]", "narrowing cast"),
    _pattern(_C, r"#\s*if\s+0\b|\bif\s*\(\s*0\s*\)", "code taken out"),
    _pattern(_C, r"\b(system|popen|exec[lv]p?e?)\s*\(", "runs a program"),
    _pattern(
        _PYTHON,
        r"\b(eval|exec|compile|__import__)\s*\(|\bos\.(system|popen|exec\w*|spawn\w*)"
        r"|\bsubprocess\b|\bpickle\b|\bmarshal\b",
        "runs code or a program",
    ),
    _pattern(
        _NODE,
        r"\beval\s*\(|\bnew\s+Function\b|child_process|\bexec(Sync|File)?\s*\(|\bspawn\w*\s*\(",
        "runs code or a program",
    ),
    _pattern(
        _PYTHON, r"\bexcept(\s+(Base)?Exception)?\s*:|contextlib\.suppress", "errors suppressed"
    ),
    _pattern(
        _NODE, r"\bcatch\s*(\([^)]*\))?\s*\{\s*\}|\.catch\s*\(\s*\(\)\s*=>", "errors suppressed"
    ),
    _pattern(
        _ANY,
        r"\b(socket|connect|getaddrinfo|gethostbyname)\s*\(|\b(urllib|requests|http\.client|httpx)\b"
        r"|require\s*\(\s*['\"](node:)?(https?|net|dns|tls)['\"]|\bfetch\s*\(|https?://",
        "speaks to a network, or names an address",
    ),
    _pattern(
        _PYTHON | _NODE, r"\b(inspect|_getframe|caller|Error\(\)\.stack)\b", "looks at its caller"
    ),
)
_ASSERTION: Final = re.compile(r"\b(assert|ASSERT|static_assert|console\.assert)\b\s*[(\s]")
_FUNCTIONS: Final = (
    re.compile(r"^\s*(?:async\s+)?(?:def|class)\s+(\w+)"),
    re.compile(r"^\s*(?:export\s+)?(?:async\s+)?function\s*\*?\s*(\w+)"),
    re.compile(
        r"^\s*(?:(?:module\.)?exports\.|[\w.]+\.prototype\.)?(\w+)\s*[=:]\s*(?:async\s+)?(?:function\b|\([^)]*\)\s*=>)"
    ),
    re.compile(r"^[A-Za-z_][\w\s*:<>,&~]*?\b([A-Za-z_]\w*)\s*\([^;]*$"),
)
_NO_FUNCTION: Final = frozenset({"if", "for", "while", "switch", "return", "else", "sizeof"})


@dataclass(frozen=True, slots=True)
class Spot:
    """A construct in an added line: which, in which file, at which line of it, and the line."""

    construct: str
    path: str
    line: int
    text: str


def deceptions(diff: Diff, before: Callable[[str], str]) -> tuple[Spot, ...]:
    """Added constructs by which a change could hide a flaw from who looks for it.

    `before` gives a file's unpatched text: a call that this file makes already is no news.
    """
    return tuple(_spots(diff, _DECEPTIONS, before=before))


def network_words(diff: Diff) -> bool:
    """Whether an added line speaks to a network or names an address of one."""
    names = {spot.construct for spot in _spots(diff, _RISKS)}
    return any("network" in name for name in names)


def summary(diff: Diff, before: Callable[[str], str]) -> dict[str, Any]:
    """Files and functions that are touched, the size, what deserves a look, and how much is no code."""
    spots = list(_spots(diff, _RISKS))
    assertions = [
        line.strip()[:_LONGEST_LINE]
        for change in diff.changes
        for line in change.removed
        if _ASSERTION.search(line)
    ]
    kept = sum(bool(_ASSERTION.search(line)) for change in diff.changes for _, line in change.lines)
    lines = diff.added + diff.removed
    return {
        "files": [
            {
                "path": change.path,
                "added": len(change.lines),
                "removed": len(change.removed),
                "created": change.created,
                "deleted": change.deleted,
                "functions": functions(change, before(change.path)),
            }
            for change in diff.changes
        ],
        "constructs": [
            {"what": spot.construct, "path": spot.path, "line": spot.line, "text": spot.text}
            for spot in spots[:_MOST_CONSTRUCTS]
        ],
        "assertions_removed": max(0, len(assertions) - kept),
        "share_of_documents": round(
            sum(_size(each) for each in diff.changes if is_document(each.path)) / max(lines, 1),
            2,
        ),
    }


def functions(change: Change, text: str) -> list[str]:
    """The functions that the hunks of a change begin in or touch, as far as a line shows them."""
    lines = text.splitlines()
    named: dict[str, None] = {}
    for place in change.places:
        for number in range(min(place + 3, len(lines)) - 1, -1, -1):
            name = _function(lines[number])
            if name:
                named[name] = None
                break
    for _, line in change.lines:
        if name := _function(line.rstrip("\n")):
            named[name] = None
    return list(named)[:20]


def is_code(line: str) -> bool:
    """Whether a line can be run: neither blank, nor a comment, nor punctuation alone."""
    bare = _bare(line)
    return bool(re.search(r"\w", bare)) and not bare.lstrip().startswith(("#", "else"))


def is_document(path: str) -> bool:
    """Whether a path is a document by its name, and nothing that is run."""
    return _ending(path) in _DOCUMENTS


def _function(line: str) -> str:
    for expression in _FUNCTIONS:
        found = expression.match(line)
        if found and found[1] not in _NO_FUNCTION:
            return found[1]
    return ""


def _spots(
    diff: Diff, patterns: tuple[_Pattern, ...], *, before: Callable[[str], str] | None = None
) -> Iterator[Spot]:
    for change in diff.changes:
        ending = _ending(change.path)
        if is_document(change.path):
            continue
        for number, line in change.lines:
            code = _bare(line)
            for pattern in patterns:
                if ending in _ANY and ending not in pattern.endings:
                    continue
                found = pattern.expression.search(code)
                if found is None:
                    continue
                if before is not None and found[0] in before(change.path):
                    continue
                yield Spot(pattern.name, change.path, number, line.strip()[:_LONGEST_LINE])


def _bare(line: str) -> str:
    """A line without what is plainly a comment to its end."""
    stripped = line.strip()
    if stripped.startswith(("//", "/*", "* ", "*/")) or stripped == "*":
        return ""
    if stripped.startswith("#") and not re.match(
        r"#\s*(if|el|pragma|define|include|undef|end)", stripped
    ):
        return ""
    return re.sub(r"\s//[^\"']*$|/\*.*?\*/", "", line)


def _ending(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def _size(change: Change) -> int:
    return len(change.lines) + len(change.removed)
