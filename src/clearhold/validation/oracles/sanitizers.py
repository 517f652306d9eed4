"""Oracles over what the compilers' sanitizers report.

A report that is only printed is never believed: it must stand in the file named in `log_path`, and
the process must have ended with the sanitizer's own exit code. Code that runs in the same process
could still make up both; proofs are data and drivers are ours, so whoever could has already shown
that the proof runs code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from clearhold.ports.sandbox import Job, Outcome
from clearhold.validation.builder import Toolchain
from clearhold.validation.crash import Crash, parse_leaks, parse_report, within
from clearhold.validation.oracles.observation import (
    Host,
    Observation,
    PlainOracle,
    RunKind,
    SelfTest,
    crashed,
    ended_abnormally,
    plain_end,
)

SANITIZER_EXIT = 77
HARNESS = "/recipe/"
"""Where drivers lie, and so what the files of their frames begin with."""

_PROGRAM = "printf '%s' '{source}' >a.c && {compiler} -g -O1 -fno-omit-frame-pointer {flags} a.c -o a && exec ./a"
_BEYOND = (
    "#include <stdlib.h>\nint main(int c,char**v)"
    "{volatile char*p=malloc(8);p[c+7]=1;free((void*)p);return 0;}"
)
_PRINTS = (
    "#include <stdio.h>\nint main(void)"
    '{fputs("ERROR: AddressSanitizer: heap-buffer-overflow\\n",stderr);return 0;}'
)
_OVERFLOWS = (
    "int add(int a,int b){{return a+b;}}int main(int c,char**v){{return add({start},c)==c;}}"
)
_KEEPS = (
    "#include <stdlib.h>\n__attribute__((noinline)) static void*take(int n){{return malloc(n);}}"
    "int main(int c,char**v){{void*volatile p=take(24+c);{release}p=0;return 0;}}"
)
_UNSET = (
    "#include <stdio.h>\n#include <stdlib.h>\n__attribute__((noinline)) static void third(int*p)"
    '{{if(p[2])puts("three");}}int main(void){{third({take});return 0;}}'
)
_ASSERTS = (
    "#include <assert.h>\n__attribute__((noinline)) static int few(int c){{assert(c<{bound});return c;}}"
    "int main(int c,char**v){{return few(c)-1;}}"
)
_RECURSES = (
    "__attribute__((noinline)) static int deep(int n){{volatile char b[4096];b[0]=n;"
    "return n>{bound}?0:deep(n+1)+b[0];}}int main(int c,char**v){{return deep(c)==1;}}"
)


def _pair(
    violating: str, clean: str, *, flags: str, compiler: str = "gcc", needs: tuple[str, ...] = ()
) -> SelfTest:
    built = [
        _PROGRAM.format(source=source, compiler=compiler, flags=flags)
        for source in (violating, clean)
    ]
    return SelfTest(built[0], built[1], needs=needs)


class _Sanitizer(PlainOracle):
    """What the sanitizers have in common: a report file, an exit code, and both together.

    `sees_deaths` says whether a death without a report is of the class that the oracle is for.
    """

    name: str
    claim = "crash"
    log: str
    sees_deaths = False

    def observe(self, outcome: Outcome, reference: bytes | None) -> Observation:
        """A violation needs both the report file and the sanitizer's exit code."""
        del reference
        ended = ended_abnormally(outcome)
        if ended:
            return ended
        reports = [
            content
            for path, content in sorted(outcome.artefacts.items())
            if path.startswith(f"{self.log}.")
        ]
        report = reports[0] if reports else b""
        crash = parse_report(report)
        if bool(crash) != (outcome.exit_code == SANITIZER_EXIT):
            return Observation(RunKind.FAULT, "report and exit code do not agree", report=report)
        if crash is None:
            died = crashed(outcome)
            return self._died(died) if died else plain_end(outcome)
        if crash.family == "memory-exhaustion":
            return Observation(RunKind.RESOURCE_LIMIT, "oom", crash.signature, crash, report)
        seen = Observation(
            RunKind.VIOLATION, f"{crash.tool}: {crash.kind}", crash.signature, crash, report
        )
        return self._reported(seen, crash)

    def _died(self, seen: Observation) -> Observation:
        if self.sees_deaths:
            return seen
        return replace(seen, other=seen.kind is RunKind.VIOLATION)

    def _reported(self, seen: Observation, crash: Crash) -> Observation:
        del crash
        return seen


class AddressSanitizer(_Sanitizer):
    """Memory errors that AddressSanitizer reports, or that kill the process outright."""

    name = "address"
    version = "2"
    purpose = "AddressSanitizer reports an error of memory, or a fault kills the process."
    sees_deaths = True
    hosts: tuple[Host, ...] = ("native", "python")
    self_test = _pair(_BEYOND, _PRINTS, flags="-fsanitize=address")
    log = "asan"
    leaks = 0
    aborts = 0

    def env(self, toolchain: Toolchain, host: Host) -> Mapping[str, str]:
        """Report to a file, end with 77; an uninstrumented interpreter preloads the runtime."""
        options = (
            f"log_path=/out/asan:exitcode={SANITIZER_EXIT}:detect_leaks={self.leaks}"
            f":abort_on_error=0:handle_abort={self.aborts}:allocator_may_return_null=1:symbolize=1"
            ":detect_stack_use_after_return=0"
        )
        env = {"ASAN_OPTIONS": options}
        if host == "python":
            env["LD_PRELOAD"] = " ".join(toolchain.preload)
            env["PYTHONMALLOC"] = "malloc"
        return env


class Leak(AddressSanitizer):
    """Memory that LeakSanitizer finds unreachable at the end, and that the project allocated."""

    name = "leak"
    version = "1"
    claim = "leak"
    purpose = "LeakSanitizer finds memory lost that the project, not the driver, allocated."
    sees_deaths = False
    hosts: tuple[Host, ...] = ("native",)  # an interpreter leaves much behind by design
    self_test = _pair(
        _KEEPS.format(release=""), _KEEPS.format(release="free(p);"), flags="-fsanitize=address"
    )
    leaks = 1

    def prepare(self, job: Job, host: Host) -> Job:
        """The same job, with the tracing that LeakSanitizer stops threads by."""
        del host
        return replace(job, ptrace=True)

    def _reported(self, seen: Observation, crash: Crash) -> Observation:
        if crash.family != "leak":
            return replace(seen, other=True)
        own = [leak for leak in parse_leaks(seen.report) if not leak.within(HARNESS)]
        if not own:
            return replace(
                seen,
                kind=RunKind.FAULT,
                reason="what was lost was allocated by the driver",
                signature=(),
            )
        first = replace(crash, frames=own[0].frames)
        return replace(
            seen,
            reason=f"{crash.tool}: {sum(leak.size for leak in own)} bytes lost",
            signature=first.signature,
            crash=first,
        )


class Assertion(AddressSanitizer):
    """A check of the project's own that fails: an assertion, or a call of abort(3)."""

    name = "assertion"
    version = "1"
    purpose = "A check of the project's own ends the process: an assertion, or abort(3)."
    sees_deaths = False
    self_test = _pair(
        _ASSERTS.format(bound=1), _ASSERTS.format(bound=9), flags="-fsanitize=address"
    )
    aborts = 1

    def _reported(self, seen: Observation, crash: Crash) -> Observation:
        if crash.family != "abort":
            return replace(seen, other=True)
        if within(crash.frames, HARNESS):
            return replace(seen, kind=RunKind.FAULT, reason="the driver itself gave up")
        return seen

    def _died(self, seen: Observation) -> Observation:
        # The sanitizer handles SIGABRT itself here, so one without a report was sent from outside.
        if seen.signature[:1] == ("abort",):
            return replace(seen, kind=RunKind.FAULT, reason="an abort that nothing reports")
        return super()._died(seen)


class StackExhaustion(AddressSanitizer):
    """Recursion without bound, which must also fell the build as users have it.

    AddressSanitizer makes frames several times larger, so that its report alone proves nothing.
    """

    name = "exhaustion"
    version = "1"
    purpose = "Recursion exhausts the stack, on the instrumented build and on the plain one."
    sees_deaths = False
    hosts: tuple[Host, ...] = ("native",)
    self_test = _pair(
        _RECURSES.format(bound=1 << 30), _RECURSES.format(bound=9), flags="-fsanitize=address"
    )

    def _reported(self, seen: Observation, crash: Crash) -> Observation:
        return replace(seen, other=crash.family != "stack-exhaustion")


class UndefinedBehaviour(_Sanitizer):
    """Undefined behaviour that UndefinedBehaviorSanitizer reports."""

    name = "undefined"
    version = "1"
    purpose = "UndefinedBehaviorSanitizer reports what the C standard leaves undefined."
    hosts: tuple[Host, ...] = ("native", "python")
    self_test = _pair(
        _OVERFLOWS.format(start=2147483647),
        _OVERFLOWS.format(start=5),
        flags="-fsanitize=undefined -fno-sanitize-recover=undefined",
    )
    log = "ubsan"

    def env(self, toolchain: Toolchain, host: Host) -> Mapping[str, str]:
        """Report to a file with the stack, end with 77."""
        del toolchain, host
        return {
            "UBSAN_OPTIONS": (
                f"log_path=/out/ubsan:exitcode={SANITIZER_EXIT}:halt_on_error=1:abort_on_error=0"
                ":print_stacktrace=1:print_summary=1:symbolize=1"
            )
        }


class UninitialisedMemory(_Sanitizer):
    """Decisions on memory never written, that MemorySanitizer (clang alone has it) reports."""

    name = "memory"
    version = "1"
    purpose = "MemorySanitizer reports a decision taken on memory that was never written (clang)."
    hosts: tuple[Host, ...] = (
        "native",
    )  # an interpreter that is not instrumented makes false reports
    self_test = _pair(
        _UNSET.format(take="malloc(40)"),
        _UNSET.format(take="calloc(10,4)"),
        flags="-fsanitize=memory",
        compiler="clang",
        needs=("clang",),
    )
    log = "msan"

    def env(self, toolchain: Toolchain, host: Host) -> Mapping[str, str]:
        """Report to a file, end with 77."""
        del toolchain, host
        return {
            "MSAN_OPTIONS": (
                f"log_path=/out/msan:exitcode={SANITIZER_EXIT}:halt_on_error=1:abort_on_error=0"
                ":symbolize=1:allocator_may_return_null=1"
            )
        }
