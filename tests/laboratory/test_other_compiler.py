"""Before a refusal, what the report names is tried: a fault may show under one compiler alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from benchmarks.false_validations import bench
from benchmarks.root_cause import target
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clearhold.validation import evidence, replay
from clearhold.validation.builder import Laboratory
from clearhold.validation.examination import Examination, examine
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import Flavour, Recipe, parse
from clearhold.validation.verdict import Claim, VerdictKind
from clearhold.wire import dsse

# C leaves the order open in which arguments are evaluated: gcc begins with the last, clang with the
# first. Of "30" one makes row 3 and column 0, which is beyond the table, and the other the reverse.
CODE = """\
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static int next(const char **text) { return *(*text)++ - '0'; }
static int cell(const char *table, int row, int column) {
  if (column < 0 || column > 5 || row < 0 || row > ROWS) return 0;
  return table[row * 3 + column];
}
int main(int count, char **argv) {
  char text[8] = {0};
  FILE *file = fopen(argv[count - 1], "rb");
  if (!file) return 65;
  fread(text, 1, sizeof text - 1, file);
  fclose(file);
  char *table = malloc(9);
  memset(table, 7, 9);
  const char *at = text;
  int seen = cell(table, next(&at), next(&at));
  free(table);
  return seen == 8;
}
"""
PROOF = b"30"
KEY = Ed25519PrivateKey.generate()
OLD, NEW = (target.archive(CODE.replace("ROWS", rows)) for rows in ("9", "1"))


def made_recipe(flavours: tuple[str, ...]) -> Recipe:
    document = {
        "schema": 1,
        "package": "pkg:generic/table",
        "summary": "a table of nine cells",
        "sides": {
            side: {
                "version": version,
                "sources": [{"origin": "own:x", "sha256": hashlib.sha256(archive).hexdigest()}],
            }
            for side, version, archive in (("vulnerable", "1", OLD), ("fixed", "2", NEW))
        },
        "build": {"script": "build.sh", "flavours": list(flavours)},
        "targets": {
            "read": {
                "summary": "reads a row and a column",
                "argv": ["/build/table", "/in/proof"],
                "flavour": "address",
                "oracle": "address",
                "control": "seeds/first",
            }
        },
    }
    return parse(
        "table",
        {
            "recipe.yaml": json.dumps(document).encode(),
            "build.sh": b'#!/bin/sh\nset -e\n$CC $CFLAGS "$SRC/orchard.c" -o "$OUT/table"\n',
            "seeds/first": b"00",
        },
    )


RECIPE = made_recipe(("address", "plain"))


@pytest.fixture(scope="module")
def own(laboratory: Laboratory) -> Iterator[Laboratory]:
    if not laboratory.toolchain().has("clang"):
        pytest.skip("the sandbox finds no clang: apt-get install clang")
    with bench.opened(laboratory.sandbox, [OLD, NEW]) as made:
        yield made


def examined(laboratory: Laboratory, named: str) -> Examination:
    return examine(
        laboratory,
        RECIPE,
        target="read",
        proof=PROOF,
        claim=Claim("crash", toolchain=named),
        minimising_runs=0 if named != "clang" else 4,
        second_environment=True,
    )


def test_what_only_the_named_compiler_shows_is_reproduced_with_it(own: Laboratory) -> None:
    done = examined(own, "clang")
    assert done.vulnerable_build is not None
    assert done.fixed_build is not None
    assert done.vulnerable_build.flavour is done.fixed_build.flavour is Flavour.CLANG
    assert done.verdict.label == "reproduced"
    # The build by clang was the first environment here and is not the second one, too.
    assert (done.verdict.level, done.second) == (3, None)
    assert "which the report names" in done.verdict.reason
    assert len(done.further) == 15
    content = dsse.sign(evidence.statement(done, PROOF), dsse.IN_TOTO, KEY)
    again = replay.replay(own, RECIPE, replay.read(content, key=KEY.public_key()), PROOF)
    assert again.agrees, again.differences


@pytest.mark.parametrize("named", ["", "gcc"])
def test_no_other_compiler_is_tried_than_the_one_that_is_named(own: Laboratory, named: str) -> None:
    done = examined(own, named)
    assert done.verdict.label.startswith("not_reproduced(")
    assert {run.kind for run in (*done.vulnerable, *done.further)} == {RunKind.CLEAN}
    assert len(done.vulnerable + done.further) == 15


def test_without_the_named_compiler_nothing_is_refused(
    own: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = own.toolchain()
    without = tuple(each for each in found.versions if not each.startswith("clang "))
    monkeypatch.setattr(own, "toolchain", lambda: replace(found, versions=without))
    assert examined(own, "clang").verdict.label == "environment_failure(toolchain)"
    assert examined(own, "").verdict.kind is VerdictKind.NOT_REPRODUCED
