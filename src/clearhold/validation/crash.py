"""Reads sanitizer reports into a crash: its family, its top frames and a signature.

The signature is the family and the first three frames that belong neither to the sanitizer's
runtime nor to the C library, recursion collapsed. It is comparable only within one toolchain:
another compiler inlines and intercepts differently.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SIGNATURE_FRAMES = 3
TRACE_FRAMES = 16
MINIMUM_COMMON = 2
_REPORT_CAP = 512 * 1024

_HEAD = re.compile(
    r"(?P<tool>AddressSanitizer|LeakSanitizer|MemorySanitizer|ThreadSanitizer"
    r"|UndefinedBehaviorSanitizer): (?:(?P<attempt>attempting )?)(?P<type>[A-Za-z0-9_-]+)"
)
_LEAK = re.compile(r"LeakSanitizer: detected memory leaks")
_LOST = re.compile(r"^(?P<how>Direct|Indirect) leak of (?P<size>\d+) byte", re.MULTILINE)
_UNDEFINED = re.compile(
    r"^(?P<place>\S+:\d+:\d+): runtime error: (?P<what>[^\n]{1,300})$", re.MULTILINE
)
_WORD = re.compile(r"[a-z-]+")
_KIND_WORDS = 3
_ACCESS = re.compile(r"^(READ|WRITE) of size (\d+)", re.MULTILINE)
_SIGNAL_ACCESS = re.compile(r"caused by a (READ|WRITE) memory access")
_FRAME = re.compile(r"^\s*#(?P<index>\d+) 0x[0-9a-f]+ (?:in (?P<what>.*))?(?P<rest>.*)$")
_PLACE = re.compile(r"^(?P<function>.+?)(?: (?P<file>/?[^\s:()]+):(?P<line>\d+)(?::\d+)?)?$")
_MODULE = re.compile(r"\((?P<module>[^()]+)\+0x(?P<offset>[0-9a-f]+)\)")
_RUNTIME = re.compile(
    r"^(__asan|__interceptor|__sanitizer|__lsan|__msan|__ubsan|__libc|_start$|__GI_|__assert|__pthread_kill|__mem|__str"
    r"|mem(cpy|move|set|cmp|chr)$|str(len|cpy|ncpy|cat|cmp|dup)\w*$|operator new|operator delete"
    r"|malloc$|calloc$|realloc$|free$|abort$|raise$|gsignal$|fuzzer::|LLVMFuzzer|main$"
    # without symbols: the module and an offset, which is another one with every release of it
    r"|(ld-linux[\w-]*|lib(c|m|gcc_s|stdc\+\+|pthread|dl|rt|[almtu]+san))\.so[.\d]*\+0x)"
)
_FAMILIES = {
    "stack-buffer-overflow": "out-of-bounds",
    "stack-buffer-underflow": "out-of-bounds",
    "heap-buffer-overflow": "out-of-bounds",
    "global-buffer-overflow": "out-of-bounds",
    "dynamic-stack-buffer-overflow": "out-of-bounds",
    "container-overflow": "out-of-bounds",
    "unknown-crash": "out-of-bounds",
    "negative-size-param": "out-of-bounds",
    "memcpy-param-overlap": "overlap",
    "SEGV": "bad-access",
    "BUS": "bad-access",
    "heap-use-after-free": "use-after-free",
    "stack-use-after-return": "use-after-free",
    "stack-use-after-scope": "use-after-free",
    "double-free": "bad-free",
    "bad-free": "bad-free",
    "free": "bad-free",
    "alloc-dealloc-mismatch": "bad-free",
    "stack-overflow": "stack-exhaustion",
    "allocation-size-too-big": "memory-exhaustion",
    "out-of-memory": "memory-exhaustion",
    "requested": "memory-exhaustion",
    "rss-limit-exceeded": "memory-exhaustion",
    "detected": "leak",
    "ABRT": "abort",
    "FPE": "arithmetic",
    "ILL": "illegal-instruction",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """One stack frame: function, or module and offset when it has no symbol; file and line."""

    function: str
    file: str = ""
    line: int = 0

    @property
    def runtime(self) -> bool:
        """Whether the frame belongs to the sanitizer, the C library or the fuzzing engine."""
        return bool(_RUNTIME.match(self.function))


@dataclass(frozen=True, slots=True)
class Crash:
    """What a sanitizer reported.

    `kind` is the report's own word, `family` groups words that vary between runs of one bug,
    `access` is READ or WRITE (or empty) of `size` bytes, `frames` the stack of the fault.
    """

    tool: str
    kind: str
    family: str
    access: str
    size: int
    frames: tuple[Frame, ...]

    @property
    def signature(self) -> tuple[str, ...]:
        """The family followed by up to three frames that belong to the project."""
        return (self.family, *top_functions(self.frames))


@dataclass(frozen=True, slots=True)
class Leak:
    """An allocation that was lost: its bytes and the stack that allocated it."""

    size: int
    frames: tuple[Frame, ...]

    def within(self, directory: str) -> bool:
        """Whether the code that allocated it lies below `directory`, ending with a slash."""
        return within(self.frames, directory)


def within(frames: tuple[Frame, ...], directory: str) -> bool:
    """Whether the innermost frame outside the runtime lies below `directory`, ending with a slash.

    `main` counts as such a frame when there is no other.
    """
    innermost = next((frame for frame in frames if not frame.runtime), None)
    own = innermost or next((frame for frame in frames if frame.function == "main"), None)
    return own is not None and own.file.startswith(directory)


def top_functions(frames: tuple[Frame, ...], count: int = SIGNATURE_FRAMES) -> tuple[str, ...]:
    """The first `count` functions outside the runtime, directly repeated ones taken once."""
    functions: list[str] = []
    for frame in frames:
        if frame.runtime or (functions and functions[-1] == frame.function):
            continue
        functions.append(frame.function)
        if len(functions) == count:
            break
    return tuple(functions)


def parse_report(report: bytes) -> Crash | None:
    """The first report in `report` (a sanitizer's log); None when there is none.

    Nothing in the text is trusted beyond its shape: whether it came from the sanitizer at all is
    for the oracle to establish by where it was written and how the process ended.
    """
    text = report[:_REPORT_CAP].decode("utf-8", "replace")
    undefined = _UNDEFINED.search(text)
    if undefined is not None:
        return _undefined(undefined, text)
    head = _HEAD.search(text)
    if head is None:
        return None
    kind = head.group("type")
    if _LEAK.search(text):
        kind = "detected"
    after = text[head.end() :]
    access = _ACCESS.search(after)
    implied = _SIGNAL_ACCESS.search(after)
    return Crash(
        tool=head.group("tool"),
        kind="memory-leak" if kind == "detected" else kind,
        family=_FAMILIES.get(kind, "other"),
        access=access.group(1) if access else implied.group(1) if implied else "",
        size=int(access.group(2)) if access else 0,
        frames=_first_stack(after),
    )


def parse_leaks(report: bytes) -> tuple[Leak, ...]:
    """Every lost allocation that LeakSanitizer's report names; direct ones, when there are any."""
    text = report[:_REPORT_CAP].decode("utf-8", "replace")
    heads = list(_LOST.finditer(text))
    leaks = [
        (head["how"], Leak(int(head["size"]), _first_stack(text[head.end() :]))) for head in heads
    ]
    direct = tuple(leak for how, leak in leaks if how == "Direct")
    return direct or tuple(leak for _, leak in leaks)


def similar(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    """Whether two signatures of one toolchain may be the same fault.

    The families are equal and the longest common subsequence of the frames has at least two, or
    all there are when one signature has fewer.
    """
    if not first or not second or first[0] != second[0]:
        return False
    one, other = first[1:], second[1:]
    needed = min(MINIMUM_COMMON, len(one), len(other))
    return _common(one, other) >= needed


def likeness(first: tuple[str, ...], second: tuple[str, ...]) -> float:
    """How alike two traces of one toolchain are, each a family and functions innermost first: 0 to 1.

    The share of the longer stack that both have in the same order; 0 for another family, and for
    traces without any function, which say too little. It ranks candidates and decides nothing.
    """
    if not first or not second or first[0] != second[0]:
        return 0.0
    one, other = first[1:], second[1:]
    return _common(one, other) / max(len(one), len(other)) if one and other else 0.0


def _undefined(head: re.Match[str], text: str) -> Crash:
    """The crash of UndefinedBehaviorSanitizer's line; its kind is the first words, without values."""
    words = [word for word in head["what"].split(":")[0].split() if _WORD.fullmatch(word)]
    kind = "-".join(words[:_KIND_WORDS]) or "undefined-behavior"
    return Crash(
        tool="UndefinedBehaviorSanitizer",
        kind=kind,
        family=f"undefined-{kind}",
        access="",
        size=0,
        frames=_first_stack(text[head.end() :]),
    )


def _common(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(second) + 1)
    for left in first:
        diagonal = 0
        for column, right in enumerate(second, start=1):
            above = row[column]
            row[column] = diagonal + 1 if left == right else max(above, row[column - 1])
            diagonal = above
    return row[-1]


def _first_stack(text: str) -> tuple[Frame, ...]:
    frames: list[Frame] = []
    for line in text.splitlines():
        match = _FRAME.match(line)
        if match is None:
            if frames:
                break
            continue
        if int(match.group("index")) != len(frames):
            break
        frames.append(_frame(match.group("what") or match.group("rest")))
    return tuple(frames)


def _frame(text: str) -> Frame:
    text = re.sub(r"\s*\(BuildId: [0-9a-f]+\)\s*$", "", text.strip())
    module = _MODULE.search(text)
    if module:
        text = text[: module.start()].strip()
        if not text:
            name = module.group("module").rsplit("/", 1)[-1]
            return Frame(function=f"{name}+0x{module.group('offset')}")
    place = _PLACE.match(text)
    if place is None:
        return Frame(function=text)
    function = re.sub(r"\(.*\)(?: const)?$", "", place.group("function")).strip()
    return Frame(
        function=function or place.group("function"),
        file=place.group("file") or "",
        line=int(place.group("line") or 0),
    )
