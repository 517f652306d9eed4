"""Which frames belong to an allocator, a sanitizer, a C library, a runtime or a fuzzing harness.

They stand in every trace, so they say nothing of where the fault is.
"""

from __future__ import annotations

import re
from typing import Final

from clearhold.findings.traces.model import Frame

_NATIVE: Final = re.compile(
    r"(?:__(?:asan|msan|ubsan|tsan|lsan|hwasan|sanitizer|interceptor|interception|libc|GI|dfsan)_?"
    r"|___interceptor|_?_?sanitizer::|fuzzer::|LLVMFuzzer|__cxa_|__gxx|_Unwind|__assert|__fortify"
    r"|__memcpy|__memmove|__memset|__str|__GI_|_IO_|honggfuzz|HF_ITER|afl_|__afl|__stack_chk)"
)
_NATIVE_WHOLE: Final = frozenset(
    [
        "malloc",
        "free",
        "calloc",
        "realloc",
        "memalign",
        "posix_memalign",
        "aligned_alloc",
        "reallocarray",
        "abort",
        "raise",
        "kill",
        "gsignal",
        "memcpy",
        "memmove",
        "memset",
        "memcmp",
        "memchr",
        "strlen",
        "strcpy",
        "strncpy",
        "strcat",
        "strcmp",
        "strncmp",
        "strchr",
        "strrchr",
        "strdup",
        "strndup",
        "strstr",
        "printf",
        "fprintf",
        "vfprintf",
        "sprintf",
        "snprintf",
        "vsnprintf",
        "exit",
        "_exit",
        "_start",
        "main",
        "start_thread",
        "clone",
        "__clone3",
        "clone3",
        "qsort",
        "bsearch",
        "pthread_kill",
        "read",
        "write",
        "operator_new",
        "operator_delete",
        "new",
        "delete",
        "wcslen",
        "strtol",
        "strtoul",
        "sscanf",
        "vsscanf",
        "fread",
        "fwrite",
        "__libc_start_main",
        "__libc_start_call_main",
        "fuzz_main",
        "run_one_input",
        "RunOneTest",
    ]
)
_NATIVE_PLACES: Final = re.compile(
    r"(?:compiler-rt|sanitizer_common|libfuzzer|FuzzerLoop|FuzzerMain|FuzzerDriver|asan_|csu/"
    r"|sysdeps/|libc[.-]|ld-linux|standaloneengine)"
)
_STANDARD: Final = ("std::", "__gnu_cxx::", "boost::detail::", "absl::raw_logging")
_JAVA: Final = (
    "java.",
    "java.base/",
    "javax.",
    "sun.",
    "jdk.",
    "com.sun.",
    "kotlin.",
    "scala.runtime.",
    "com.code_intelligence.jazzer.",
    "jaz.",
    "org.junit.",
    "java.desktop/",
    "java.xml/",
)
_GO: Final = (
    "runtime.",
    "testing.",
    "runtime/",
    "internal/",
    "syscall.",
    "reflect.",
    "panic",
    "created by",
    "sync.",
    "net/http.(*conn)",
)
_RUST: Final = (
    "core::panicking",
    "std::panicking",
    "std::rt",
    "std::sys",
    "rust_begin_unwind",
    "rust_panic",
    "core::ops::function",
    "std::panic",
    "__rust",
    "core::result::unwrap_failed",
    "core::option::unwrap_failed",
    "core::option::expect_failed",
    "core::slice::index",
    "core::str::slice_error_fail",
    "std::backtrace",
    "std::thread",
    "libfuzzer_sys",
    "alloc::",
    "test::",
    "rust_fuzzer_test_input",
    "lang_start",
    "backtrace::",
    "core::",
    "std::",
)
_PYTHON_PLACES: Final = re.compile(
    r"(?:^|/)(?:runpy\.py|atheris|unittest/|_pytest/|pluggy/|importlib/|<frozen )"
)
_JAVASCRIPT_PLACES: Final = re.compile(
    r"^(?:node:|internal/|native|\[native code\]|<anonymous>$)|(?:^|/)(?:jazzer|@jazzer\.js|jest)"
)


def native(frame: Frame) -> bool:
    """Whether a frame of C, C++ or a sanitizer's trace is no code of the program's."""
    name = frame.function
    return (
        name in _NATIVE_WHOLE
        or name.startswith(_STANDARD)
        or _NATIVE.match(name) is not None
        or (frame.file != "" and _NATIVE_PLACES.match(frame.file) is not None)
        or (name.startswith("_RN") and "core" in name[:40])
    )


def java(frame: Frame) -> bool:
    """Whether a frame is the Java platform's or the harness's."""
    return frame.function.startswith(_JAVA)


def go(frame: Frame) -> bool:
    """Whether a frame is the Go runtime's or its test harness's."""
    return frame.function.startswith(_GO)


def rust(frame: Frame) -> bool:
    """Whether a frame is of Rust's libraries, its runtime or the harness."""
    return frame.function.lstrip("<").startswith(_RUST) or native(frame)


def python(frame: Frame) -> bool:
    """Whether a frame is the interpreter's machinery or a test harness's."""
    return _PYTHON_PLACES.search(frame.file) is not None


def javascript(frame: Frame) -> bool:
    """Whether a frame is node's or the browser's own, or the harness's."""
    return _JAVASCRIPT_PLACES.search(frame.file) is not None
