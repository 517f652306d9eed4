"""Traces as their tools print them: what is read of each, and what hostile text cannot do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.findings import traces
from clearhold.findings.traces.model import MOST_FRAMES
from clearhold.findings.traces.names import demangled, normalised
from clearhold.findings.traces.runtimes import native

ASAN = """noise
==123==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x602 at pc 0x1 bp 0x2 sp 0x3
READ of size 4 at 0x602000 thread T0
    #0 0x4a3 in __asan_memcpy /src/llvm/compiler-rt/lib/asan/x.cpp:22:3
    #1 0x55d in ns::(anonymous namespace)::Foo<int, std::vector<char> >::bar(int, char const*) const /src/p/a/file.cc:12:3
    #2 0x55e in do_thing.isra.0 /src/p/b.c:99:1
    #3 0x55f in LLVMFuzzerTestOneInput /src/fuzz.c:1
    #4 0x560 in fuzzer::Fuzzer::ExecuteCallback(unsigned char const*, unsigned long) /src/libfuzzer/FuzzerLoop.cpp:1
    #5 0x7f in __libc_start_main (/lib/x86_64-linux-gnu/libc.so.6+0x2409a) (BuildId: abc)

freed by thread T0 here:
    #0 0x1 in elsewhere /src/p/c.c:1:1
"""
UBSAN = """/src/x.c:12:3: runtime error: index 5 out of bounds for type 'int [4]'
    #0 0x1 in parse /src/x.c:12:3
"""
UBSAN_BARE = "/src/y.c:7:3: runtime error: signed integer overflow: 1 + 2 cannot be represented"
LSAN = """==1==ERROR: LeakSanitizer: detected memory leaks

Direct leak of 4 byte(s) in 1 object(s) allocated from:
    #0 0x1 in malloc /x
    #1 0x2 in make_it /src/a.c:3:4
"""
MSAN = """==7==WARNING: MemorySanitizer: use-of-uninitialized-value
    #0 0x1 in inflate /src/z.c:3:4
"""
TSAN = """WARNING: ThreadSanitizer: data race (pid=9)
  Write of size 4 at 0x7 by thread T1:
    #0 inc(void*) /src/r.cc:4:3 (r+0x12) (BuildId: x)
"""
LIBFUZZER = """==1== ERROR: libFuzzer: timeout after 25 seconds
    #0 0x1 in __sanitizer_print_stack_trace /x/asan_stack.cpp:1
    #1 0x1 in spin /src/spin.c:3
"""
GDB = """Program received signal SIGSEGV, Segmentation fault.
#0  0x0000 in foo (a=0x1 "x", b=2) at src/foo.c:12
#1  bar () from /usr/lib/libbar.so.1
#2  0x01 in main (argc=1) at m.c:2
"""
PYTHON = """Traceback (most recent call last):
  File "/x/site-packages/pkg/mod.py", line 12, in f
    x()
  File "/x/site-packages/pkg/deep.py", line 2, in Klass.g
    raise
pkg.errors.BadError: no

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/x/y.py", line 1, in z
RuntimeError: later
"""
V8 = """TypeError: Cannot read properties of undefined
    at Parser.parse (/app/node_modules/lib/parse.js:10:3)
    at Object.<anonymous> (file:///app/x.js:1:2)
    at node:internal/main:1:2
"""
FIREFOX = "foo@http://a.b/lib/c.js:12:3\nbar@http://a.b/lib/d.js:1:2\n"
JAVA = """Exception in thread "main" com.a.OuterException: x
\tat com.a.B$C.run(B.java:12)
\tSuppressed: x.YException: z
\t\tat q.r.S(S.java:1)
\tCaused by: x.InnerException: of what was suppressed
\t\tat q.r.T(S.java:2)
Caused by: java.lang.NullPointerException: x
\tat java.base/java.util.Objects.requireNonNull(Objects.java:1)
\tat app//com.a.Deep.lambda$go$0(Deep.java:7)
\t... 3 more
"""
JAZZER = """== Java Exception: com.code_intelligence.jazzer.api.FuzzerSecurityIssueLow: Stack overflow
\tat com.a.Loop.go(Loop.java:3)
"""
GO = """panic: runtime error: index out of range [5] with length 3

goroutine 1 [running]:
panic({0x1, 0x2})
\t/usr/go/runtime/panic.go:1 +0x1
github.com/a/b/pkg.(*Dec).Read(0xc000, {0x1, 0x2})
\t/home/x/pkg/dec.go:12 +0x1d
main.main.func1()
\t/x/main.go:3
created by main.x

goroutine 2 [running]:
other.f()
\t/x/o.go:3
"""
RUST = """thread 'main' panicked at src/lib.rs:4:5:
index out of bounds: the len is 3 but the index is 5
stack backtrace:
   0: rust_begin_unwind
             at /rustc/abc/library/std/src/panicking.rs:1:5
   1: core::panicking::panic_fmt
   2: mycrate::parse::{{closure}}::h0123456789abcdef
             at ./src/lib.rs:4:5
   3: <mycrate::T as core::iter::Iterator>::next
"""
STATE = (
    "```\nCrash type: Heap-buffer-overflow READ {*}\nCrash state:\nvoid A::decode<short>\nb_c\n```"
)


@pytest.mark.parametrize(
    ("text", "tool", "kind", "access", "names"),
    [
        (ASAN, "address-sanitizer", "heap-buffer-overflow", "read", ["ns::Foo::bar", "do_thing"]),
        (UBSAN, "undefined-sanitizer", "index-out-of-bounds", "", ["parse"]),
        (UBSAN_BARE, "undefined-sanitizer", "integer-overflow", "", ["src/y.c"]),
        (LSAN, "leak-sanitizer", "memory-leak", "", ["make_it"]),
        (MSAN, "memory-sanitizer", "use-of-uninitialized-value", "", ["inflate"]),
        (TSAN, "thread-sanitizer", "data-race", "write", ["inc"]),
        (LIBFUZZER, "libfuzzer", "timeout-after", "", ["spin"]),
        (GDB, "debugger", "sigsegv", "", ["foo", "bar"]),
        (PYTHON, "python", "BadError", "", ["Klass.g", "f"]),
        (V8, "javascript", "TypeError", "", ["Parser.parse", "app/x.js"]),
        (FIREFOX, "javascript", "error", "", ["foo", "bar"]),
        (JAVA, "java", "NullPointerException", "", ["com.a.Deep.go"]),
        (JAZZER, "java", "FuzzerSecurityIssueLow", "", ["com.a.Loop.go"]),
        (GO, "go", "index-out-of-range", "", ["pkg.Dec.Read", "main.main"]),
        (RUST, "rust", "index-out-of-bounds", "", ["mycrate::parse", "mycrate::T::next"]),
        (STATE, "crash-state", "heap-buffer-overflow", "read", ["A::decode", "b_c"]),
    ],
)
def test_what_each_tool_prints_is_read(
    text: str, tool: str, kind: str, access: str, names: list[str]
) -> None:
    """The fault, how memory was accessed, and the program's own frames, innermost first."""
    trace = traces.read(f"Dear maintainers,\n\n{text}\nYours")
    assert trace is not None
    assert (trace.tool, trace.kind, trace.access) == (tool, kind, access)
    assert [frame.function for frame in trace.frames] == names


def test_places_are_kept_without_what_differs_between_machines() -> None:
    """Of a path the last two parts, and the line."""
    trace = traces.read(ASAN)
    assert trace is not None
    assert [(frame.file, frame.line) for frame in trace.frames] == [
        ("a/file.cc", 12),
        ("p/b.c", 99),
    ]


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("_ZN3foo3barEv", "foo::bar"),
        ("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad"),
        ("_ZNK3abcIiE3getEv", "abc::get"),
        ("_ZNSt6vectorIiSaIiEE2atEm", "std::vector::at"),
        ("bool ns::f<int>(int) const", "ns::f"),
        ("foo::operator()(int)", "foo::operator_"),
        ("std::__1::vector<int>::at", "std::vector::at"),
        ("f.constprop.1", "f"),
        ("main::{lambda(int)#1}::operator()(int) const", "main::operator_"),
    ],
)
def test_names_are_compared_without_what_compilers_add(name: str, plain: str) -> None:
    """Templates, arguments, clones, ABI tags and mangling go."""
    assert normalised(name) == plain


def test_text_without_a_trace_has_none() -> None:
    """Prose that speaks of frames and panics is no trace."""
    assert traces.read("The code may panic: see #3 in the list, at the end.") is None
    assert traces.read("") is None


MARKS = st.sampled_from(
    [*ASAN.splitlines(), *JAVA.splitlines(), *GO.splitlines(), *RUST.splitlines(),
     *PYTHON.splitlines(), *V8.splitlines(), "(" * 50, "<" * 50, "_ZN" + "9" * 30, "    #0 ", "@:1:1"]
)  # fmt: skip


@given(st.lists(st.one_of(MARKS, st.text(max_size=80)), max_size=40))
def test_no_text_makes_a_reader_fail(lines: list[str]) -> None:
    """Whatever is mixed together, something bounded is read or nothing."""
    trace = traces.read("\n".join(lines))
    assert trace is None or len(trace.frames) <= MOST_FRAMES
    if trace is not None:
        assert all(frame.function and not frame.function.isspace() for frame in trace.frames)


@given(st.text(max_size=400))
def test_no_name_makes_normalising_fail(name: str) -> None:
    """And a name that was normalised is a runtime's or not, whatever it is."""
    native(traces.Frame(normalised(name)))
    demangled(f"_ZN{name}")


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "unit",
    ["    #0 0x1 in " + "(" * 1900, "    #0 " + "a " * 950, "    #1 " + " " * 1900 + "(", "at " * 600,
     "   0: " + "<" * 1900, "\tat " + "a." * 900 + "(", "a." * 900 + "Exception", "f@" + ":1" * 900,
     "thread '" + "' " * 900, "    #2 0x1 in _ZN" + "I" * 1900, "x" * 1900 + ": runtime error: ",
     "Caused by: " + "a" * 1900, "#1 (" + "+0xaaa" * 315, "#1 (+0x" + "a" * 1900, 'Traceback (most recent call last):\n  File "' + "a" * 900],
)  # fmt: skip
def test_text_made_to_be_slow_is_read_in_time(unit: str) -> None:
    """Every pattern meets text that would make a careless one take hours."""
    head = "==1==ERROR: AddressSanitizer: SEGV on x\n"
    traces.read(head + f"{unit}\n" * 2_000)
    traces.read(f"{unit}\n" * 2_000)
