"""Functions like those of a finding are found again, whatever was renamed, and hostile text ends."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hostile_code import packaged
from hypothesis import given, settings
from hypothesis import strategies as st

import clearhold.discovery.agents.inside as agents_inside
import clearhold.discovery.variants.inside as variants_inside
from clearhold.discovery.engine import Ending, Plan, Start, Workspace
from clearhold.discovery.static.engine_static import SOURCE
from clearhold.discovery.variants.engine_variants import LEAST_ALIKE, VariantEngine
from clearhold.discovery.variants.flawed import FindingModel, names_of, places_of
from clearhold.kernel.errors import InvalidError, UnavailableError
from clearhold.kernel.ids import FindingId
from clearhold.validation.builder import Laboratory
from reproduction_bench import laboratory

__all__ = ["laboratory"]
FINDING = FindingId("0190a0b0-0000-7000-8000-000000000001")
PLAN = Plan("pkg:generic/hostile@1.0", SOURCE, 1, 60, "variants", {"finding": FINDING})
FLAWED = """
static int parse_list(struct reader *in, struct node **out) {
    struct node *head = NULL, *last = NULL;
    if (in->depth >= LIMIT) { return 0; }
    in->depth++;
    while (in->at < in->end && in->text[in->at] != ']') {
        struct node *fresh = make_node(in->pool);
        if (fresh == NULL) { goto fail; }
        if (!parse_value(in, fresh)) { goto fail; }
        if (head == NULL) { head = last = fresh; } else { last->next = fresh; last = fresh; }
        skip_blanks(in);
    }
    *out = head;
    return 1;
fail:
    free_nodes(head);
    return 0;
}
"""
VARIANT = FLAWED.replace("parse_list", "parse_map").replace("']'", "'}'").replace("head", "first")
OTHER = """
int checksum(const unsigned char *data, int size) {
    unsigned sum = 7;
    for (int n = 0; n < size; n++) { sum = (sum << 3) ^ data[n]; sum += sum >> 5; }
    printf("%u %d", sum, size);
    return sum % 65521 + size * 3 - (sum & 15);
}
"""
PYTHON = '''
def read_items(stream, limit):
    """Text."""
    found = []
    while stream.more():
        size = stream.number() // 2  # a comment
        if size > limit:
            raise ValueError("too long")
        found.append(stream.take(size))
        stream.skip(1)
    return found


def other(a):
    return a
'''


@pytest.fixture(scope="module")
def alike() -> ModuleType:
    """The program that runs inside, for its parts that read no file."""
    places = [str(Path(str(each.__file__)).parent) for each in (agents_inside, variants_inside)]
    sys.path[:0] = places
    try:
        return importlib.import_module("alike")
    finally:
        for each in places:
            sys.path.remove(each)


def test_functions_are_cut_out_with_their_lines(alike: ModuleType) -> None:
    found = list(alike.functions("a.c", FLAWED + OTHER))
    assert [(each.name, each.first, each.last) for each in found] == [
        ("parse_list", 2, 18),
        ("checksum", 20, 25),
    ]
    found = list(alike.functions("a.py", PYTHON))
    assert [(each.name, each.first, each.last) for each in found] == [
        ("read_items", 2, 11),
        ("other", 14, 15),
    ]
    script = "const set = function (o, k) { o[k] = 1; };\nclass A { put(x) { return x; } }"
    assert [each.name for each in alike.functions("a.js", script)] == ["set", "put"]


def test_a_copy_is_alike_and_another_function_is_not(alike: ModuleType) -> None:
    first, second, third = (next(iter(alike.functions("a.c", t))) for t in (FLAWED, VARIANT, OTHER))
    assert alike.alike(first, second) > 0.9
    assert alike.alike(first, third) < LEAST_ALIKE


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["    ", "\t", "  "]), st.sampled_from(["x", "items_of", "q9"]))
def test_names_and_indentation_count_for_nothing(indent: str, name: str) -> None:
    module = sys.modules["alike"]
    changed = PYTHON.replace("    ", indent).replace("found", name).replace("limit", f"{name}2")
    first, second = (next(iter(module.functions("a.py", each))) for each in (PYTHON, changed))
    assert module.alike(first, second) == 1.0


@settings(max_examples=80, deadline=None)
@given(st.text(alphabet="(){}'\"/*#\\`\n ax0=>:\x1b\u202e", max_size=300))
def test_any_text_is_cut_up_to_its_end(text: str) -> None:
    module = sys.modules["alike"]
    for path in ("a.c", "a.py", "a.js"):
        for each in module.functions(path, text):
            assert 1 <= each.first <= each.last <= text.count("\n") + 1


def test_names_come_from_frames_of_the_program_alone() -> None:
    frames = ("__asan_memcpy", "ns::Parser::read(char const*)", "malloc", "parse_list", "")
    assert names_of(frames) == ("read", "parse_list")


def test_places_come_from_what_a_fix_removes_or_surrounds() -> None:
    diff = b"--- a/l.c\n+++ b/l.c\n@@ -4,3 +4,3 @@\n x\n-y\n+z\n x\n@@ -20,2 +20,3 @@\n x\n+z\n x\n"
    assert places_of(diff) == (("l.c", 5, 5), ("l.c", 21, 21))
    assert places_of(b"no diff") == ()


def test_only_a_finding_is_an_option() -> None:
    VariantEngine().check({"finding": FINDING})
    for wrong in ({}, {"finding": "x"}, {"finding": FINDING, "least": "0"}):
        with pytest.raises(InvalidError):
            VariantEngine().check(wrong)


def test_variants_in_a_package_are_leads_that_name_the_finding(
    laboratory: Laboratory, tmp_path: Path
) -> None:
    files = {
        "lib/list.c": FLAWED.encode(),
        "lib/map.c": b"int x;\n" + VARIANT.encode() + OTHER.encode(),
        "lib/broken.c": b"/*" * 40 + b"{" * 4000 + b"'",
        "private/map.c": VARIANT.encode(),
    }
    made, recipe = packaged(laboratory, tmp_path, files, {"lib/link.c": "../private/map.c"})
    for places, names in (((), ("parse_list",)), ((("lib/list.c", 7, 7),), ())):
        model = FindingModel(FINDING, "pkg:generic/hostile@1.0", names, places)
        start = Start(scope=("lib/**",), model=model)
        done = VariantEngine().search(PLAN, Workspace(made, recipe, start), lambda _: None)
        assert (done.ending, done.complete, done.crashes) == (Ending.DONE, False, ())
        (lead,) = done.leads
        assert (lead.path, lead.line, lead.rule) == ("lib/map.c", 3, f"variants:{FINDING}")
        assert "parse_map is like parse_list" in lead.message
        assert "parse_map" in lead.excerpt
    unknown = FindingModel(FINDING, "pkg:generic/hostile@1.0", ("no_such_function",), ())
    with pytest.raises(UnavailableError):
        VariantEngine().search(PLAN, Workspace(made, recipe, Start(model=unknown)), lambda _: None)
