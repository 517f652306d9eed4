"""Sanitizer reports become signatures that survive addresses, recursion and the runtime's frames."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.validation.crash import parse_leaks, parse_report, similar

REPORT = b"""=================================================================
==7==ERROR: AddressSanitizer: stack-buffer-overflow on address 0x7ffd0 at pc 0x55 bp 0x7f sp 0x7e
WRITE of size 4096 at 0x7ffd0 thread T0
    #0 0x7f11 in __interceptor_memset (/usr/lib/libasan.so.8+0x123)
    #1 0x7f12 in Pad(char*, int) const lib/enc.c:518:4
    #2 0x7f13 in encode lib/enc.c:682
    #3 0x7f14 in encode lib/enc.c:683
    #4 0x7f15 in encode_top lib/enc.c:899
    #5 0x7f16 (/build/x.so+0x1a2b) (BuildId: 00ff)

Address 0x7ffd0 is located in stack of thread T0
    #0 0x7f99 in somewhere_else lib/other.c:1
"""
signatures = st.lists(st.sampled_from(["overflow", "a", "b", "c", "d"]), max_size=5).map(tuple)


def test_a_report_gives_its_family_and_the_projects_own_frames() -> None:
    crash = parse_report(REPORT)
    assert crash is not None
    assert (crash.kind, crash.access, crash.size) == ("stack-buffer-overflow", "WRITE", 4096)
    assert crash.signature == ("out-of-bounds", "Pad", "encode", "encode_top")
    assert [frame.line for frame in crash.frames] == [0, 518, 682, 683, 899, 0]
    assert crash.frames[5].function == "x.so+0x1a2b"


LEAKS = b"""
=================================================================
==9==ERROR: LeakSanitizer: detected memory leaks

Direct leak of 16 byte(s) in 1 object(s) allocated from:
    #0 0x7f11 in __interceptor_malloc (/usr/lib/libasan.so.8+0xb89ff)
    #1 0x55aa in main /recipe/parse.c:12

Direct leak of 24 byte(s) in 1 object(s) allocated from:
    #0 0x7f11 in __interceptor_malloc (/usr/lib/libasan.so.8+0xb89ff)
    #1 0x55ab in push /work/src/stack.c:7
    #2 0x55ac in parse /work/src/parse.c:70
    #3 0x55ad in main /recipe/parse.c:14

Indirect leak of 8 byte(s) in 1 object(s) allocated from:
    #0 0x7f11 in __interceptor_malloc (/usr/lib/libasan.so.8+0xb89ff)
    #1 0x55ae in inner /work/src/stack.c:9

SUMMARY: AddressSanitizer: 48 byte(s) leaked in 3 allocation(s).
"""


def test_each_lost_allocation_is_told_from_those_of_the_driver() -> None:
    crash = parse_report(LEAKS)
    assert crash is not None
    assert (crash.kind, crash.family) == ("memory-leak", "leak")
    driver, project = parse_leaks(LEAKS)
    assert driver.within("/recipe/")
    assert not project.within("/recipe/")
    assert (project.size, project.frames[1].function) == (24, "push")


@pytest.mark.parametrize(
    ("said", "family"),
    [
        ("signed integer overflow: 1 + 2147483647", "undefined-signed-integer-overflow"),
        ("signed integer overflow: 7 + 2147483640", "undefined-signed-integer-overflow"),
        ("index 5 out of bounds for type 'int [4]'", "undefined-index-out-of"),
        ("division by zero", "undefined-division-by-zero"),
        ("-1 '?'", "undefined-undefined-behavior"),
    ],
)
def test_undefined_behaviour_is_named_without_the_values_of_one_run(said: str, family: str) -> None:
    report = f"lib/a.c:3:30: runtime error: {said}\n    #0 0x55 in add lib/a.c:3\n".encode()
    crash = parse_report(report)
    assert crash is not None
    assert crash.signature == (family, "add")


@pytest.mark.parametrize(
    "below",
    [
        "#2 0x7fe2d0645249 in __libc_start_call_main ../sysdeps/nptl/libc_start_call_main.h:58",
        "#2 0x7fe2d0645249  (/lib/x86_64-linux-gnu/libc.so.6+0x27249)",
        (
            "#2 0x7fe2d0645249 in qsort (/lib/x86_64-linux-gnu/libc.so.6+0x27249)\n"
            "    #3 0x7fe2d0645304  (/lib/x86_64-linux-gnu/libstdc++.so.6+0x27304)\n"
            "    #4 0x7fe2d0645305  (/lib64/ld-linux-x86-64.so.2+0x27304)"
        ),
    ],
)
def test_a_signature_does_not_depend_on_symbols_of_the_c_library(below: str) -> None:
    report = (
        "==1==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x6\n"
        "    #0 0x1 in put /work/src/a.c:3\n    #1 0x2 in main /work/src/a.c:4\n"
        f"    {below}\n"
    )
    crash = parse_report(report.encode())
    assert crash is not None
    assert [each for each in crash.signature if each != "qsort"] == ["out-of-bounds", "put"]


def test_addresses_and_depth_of_recursion_do_not_matter() -> None:
    deeper = REPORT.replace(b"    #4 0x7f15 in encode_top", b"    #4 0xaaaa in encode_top")
    first, second = parse_report(REPORT), parse_report(deeper)
    assert first is not None
    assert second is not None
    assert first.signature == second.signature


@pytest.mark.parametrize("text", [b"", b"all is well", b"AddressSanitizer", b"\xff\xfe" * 99])
def test_what_is_no_report_gives_no_crash(text: bytes) -> None:
    assert parse_report(text) is None


@given(st.binary(max_size=300), st.integers(0, len(REPORT)))
def test_no_text_breaks_the_reader(noise: bytes, at: int) -> None:
    crash = parse_report(REPORT[:at] + noise + REPORT[at:])
    assert crash is None or crash.family


@given(signatures, signatures)
def test_likeness_is_mutual_and_every_signature_is_like_itself(
    one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    assert similar(one, other) == similar(other, one)
    assert similar(one, one) == bool(one)
    if one and other and one[0] != other[0]:
        assert not similar(one, other)
