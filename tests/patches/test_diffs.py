"""Diffs are read strictly and written anew: what is applied is what was understood."""

from __future__ import annotations

import difflib
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.demo import material
from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.validation.diff import LARGEST_DIFF, MOST_FILES, read_diff

CHANGE = b"--- a/lib/x.c\n+++ b/lib/x.c\n@@ -1,2 +1,2 @@\n same\n-old\n+new\n"
LINES = st.lists(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8), min_size=1, max_size=12
)


@pytest.mark.parametrize("made", [material.real_fix, material.hiding_fix])
def test_a_plain_diff_is_applied_as_it_was_sent(made: object) -> None:
    assert callable(made)
    diff = read_diff(made())
    assert diff.canonical == made()
    assert diff.touched == ("lib/ultrajsonenc.c",)
    assert diff.below(["lib/"]) == diff.touched
    assert diff.below(["lib", "tests/", "li/"]) == ()
    assert (diff.created, diff.deleted) == ((), ())


def test_what_git_writes_around_a_diff_is_left_out() -> None:
    mail = (
        b"From: somebody\nSubject: [PATCH] fix\n---\n lib/x.c | 2 +-\n\n"
        b"diff --git a/lib/x.c b/lib/x.c\nindex 1234567..89abcde 100644\n"
    )
    signature = b"-- \n2.39.2\n"
    assert read_diff(mail + CHANGE + signature).canonical == CHANGE


def test_creating_and_removing_plain_files_is_understood() -> None:
    created = (
        b"diff --git a/n b/n\nnew file mode 100644\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+x\n"
    )
    assert read_diff(created).created == ("n",)
    deleted = (
        b"diff --git a/n b/n\ndeleted file mode 100644\n--- a/n\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
    )
    assert read_diff(deleted).deleted == ("n",)


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"\0",
        b"1d\n.\nw\n!touch /tmp/here\n",
        b"*** a/x\n--- b/x\n***************\n*** 1 ****\n! old\n--- 1 ----\n! new\n",
        CHANGE.replace(b"lib/x.c", b"../x.c"),
        CHANGE.replace(b"lib/x.c", b"lib/../../x.c"),
        CHANGE.replace(b"lib/x.c", b"lib//x.c"),
        CHANGE.replace(b"lib/x.c", b"./x.c"),
        CHANGE.replace(b"lib/x.c", b".git/hooks/post-commit"),
        CHANGE.replace(b"lib/x.c", b"li\\b.c"),
        CHANGE.replace(b"a/lib/x.c", b"/etc/passwd").replace(b"b/lib/x.c", b"/etc/passwd"),
        CHANGE.replace(b"+++ b/lib/x.c", b"+++ b/lib/y.c"),
        CHANGE.replace(b"@@ -1,2 +1,2 @@", b"@@ -1,9 +1,9 @@"),
        CHANGE + CHANGE,
        b"diff --git a/x b/x\nold mode 100644\nnew mode 100755\n" + CHANGE,
        b"diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n" + CHANGE,
        b"diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/etc\n",
        b"diff --git a/s b/s\nnew file mode 160000\n--- /dev/null\n+++ b/s\n@@ -0,0 +1 @@\n+0\n",
        b"diff --git a/b b/b\nindex 1..2\nGIT binary patch\nliteral 1\nIc${MZ0000\n\n" + CHANGE,
        b"Binary files a/x and b/x differ\n" + CHANGE,
    ],
)
def test_anything_but_changes_to_plain_text_files_is_refused(hostile: bytes) -> None:
    with pytest.raises(InvalidError) as refused:
        read_diff(hostile)
    assert refused.value.next_step


def test_diffs_have_a_limit_in_bytes_and_files() -> None:
    with pytest.raises(TooLargeError):
        read_diff(b" " * (LARGEST_DIFF + 1))
    with pytest.raises(TooLargeError):
        read_diff(
            b"".join(CHANGE.replace(b"x.c", b"%d.c" % each) for each in range(MOST_FILES + 1))
        )


@given(st.binary(max_size=400) | st.binary(max_size=60).map(lambda noise: CHANGE + noise))
def test_reading_ends_in_a_diff_or_in_one_clear_error(content: bytes) -> None:
    try:
        diff = read_diff(content)
    except InvalidError:
        return
    assert read_diff(diff.canonical) == diff


@given(LINES, LINES)
def test_what_is_written_anew_changes_the_file_as_the_original_would(
    before: list[str], after: list[str]
) -> None:
    old, new = ([f"{line}\n" for line in lines] for lines in (before, after))
    made = "".join(difflib.unified_diff(old, new, "a/f", "b/f")).encode()
    if before == after:
        return
    diff = read_diff(made)
    assert _applied(old, diff.canonical.decode()) == new


def test_patch_takes_what_is_written_anew(tmp_path: Path) -> None:
    program = shutil.which("patch")
    if program is None:
        pytest.skip("patch is not installed")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "x.c").write_text("same\nold\n")
    applied = read_diff(CHANGE + b"\ntext that follows\n").canonical
    subprocess.run(
        [program, "-u", "-s", "-f", "-p1", "-F0"], input=applied, cwd=tmp_path, check=True
    )
    assert (tmp_path / "lib" / "x.c").read_text() == "same\nnew\n"


def _applied(lines: list[str], diff: str) -> list[str]:
    """The lines after the diff, by the plainest reading of its hunks."""
    made: list[str] = []
    at = 0
    for line in diff.splitlines(keepends=True)[2:]:
        hunk = re.match(r"@@ -(\d+)(?:,(\d+))? ", line)
        if hunk:
            start = int(hunk[1]) - (hunk[2] != "0")
            made += lines[at:start]
            at = start
        elif line[0] == "+":
            made.append(line[1:])
        elif line[0] == "-":
            at += 1
        else:
            made.append(lines[at])
            at += 1
    return made + lines[at:]
