"""What Git, mail programs and editors make of a diff is read, or refused with words."""

from __future__ import annotations

import base64

import pytest

from clearhold.kernel.errors import InvalidError
from clearhold.validation.diff import read_diff

CHANGE = b"--- a/lib/x.c\n+++ b/lib/x.c\n@@ -1,2 +1,2 @@\n same\n-old\n+new\n"
SECOND = b"--- a/lib/x.c\n+++ b/lib/x.c\n@@ -1,2 +1,2 @@\n same\n-new\n+newer\n"
HEAD = (
    b"From 0123456789abcdef0123456789abcdef01234567 Mon Sep 17 00:00:00 2001\n"
    b"From: A <a@example.org>\nDate: Mon, 1 Jan 2024 00:00:00 +0000\nSubject: [PATCH] x\n"
)
GIT = b"diff --git a/lib/x.c b/lib/x.c\nindex 1234567..89abcde 100644\n"


def test_several_commits_of_a_mailbox_are_applied_in_their_order() -> None:
    one, two = (HEAD + b"\n---\n lib/x.c | 2 +-\n\n" + GIT + each for each in (CHANGE, SECOND))
    read = read_diff(one + b"-- \n2.39.2\n\n" + two + b"-- \n2.39.2\n\n")
    assert read.canonical == CHANGE + SECOND
    assert (read.commits, read.touched) == (2, ("lib/x.c",))
    assert any("2 commits" in note for note in read.notes)


def test_a_mail_with_an_encoded_body_is_decoded() -> None:
    body = base64.encodebytes(b"words\n---\n" + GIT + CHANGE)
    mail = HEAD + b"MIME-Version: 1.0\nContent-Transfer-Encoding: base64\n\n" + body
    assert read_diff(mail).canonical == CHANGE


def test_line_ends_that_something_turned_are_turned_back_and_told() -> None:
    read = read_diff(CHANGE.replace(b"\n", b"\r\n"))
    assert read.canonical == CHANGE
    assert any("CR LF" in note for note in read.notes)


def test_line_ends_of_the_file_itself_are_kept() -> None:
    own = b"--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n same\r\n-old\r\n+new\r\n"
    assert read_diff(own).canonical == own


def test_a_missing_end_of_line_is_kept() -> None:
    bare = b"--- a/x\n+++ b/x\n@@ -1,1 +1,1 @@\n-old\n\\ No newline at end of file\n+new\n"
    assert read_diff(bare).canonical == bare


def test_quoted_and_accented_paths_are_read() -> None:
    quoted = CHANGE.replace(b"a/lib/x.c", b'"a/lib/caf\\303\\251.c"').replace(
        b"b/lib/x.c", b'"b/lib/caf\\303\\251.c"'
    )
    assert read_diff(quoted).touched == ("lib/café.c".encode().decode("latin-1"),)


@pytest.mark.parametrize(
    ("hostile", "why"),
    [
        (b'--- "a/\\056\\056/x"\n+++ "b/\\056\\056/x"\n@@ -1 +1 @@\n-a\n+b\n', "path"),
        (CHANGE.replace(b"x.c", b"x\xe2\x80\xae.c"), "path"),
        (CHANGE.replace(b"x.c", b"x\xff.c"), "path"),
        (GIT.replace(b"100644", b"120000") + CHANGE, "link"),
        (GIT.replace(b"100644", b"160000") + CHANGE, "submodule"),
        (HEAD + b"\n" + GIT + CHANGE + b"\n" + HEAD + b"\nrename from x\n" + CHANGE, "renames"),
    ],
)
def test_what_is_more_than_text_below_the_tree_is_refused_with_words(
    hostile: bytes, why: str
) -> None:
    with pytest.raises(InvalidError, match=why):
        read_diff(hostile)


def test_a_mark_of_utf8_is_left_out_and_utf16_is_refused_by_its_name() -> None:
    plain = b"--- a/q.c\n+++ b/q.c\n@@ -1 +1 @@\n-a\n+b\n"
    assert read_diff(b"\xef\xbb\xbf" + plain) == read_diff(plain)
    with pytest.raises(InvalidError, match="UTF-16"):
        read_diff(plain.decode().encode("utf-16"))


@pytest.mark.parametrize("first", [b"src", b"a"])
def test_a_leading_directory_that_may_be_part_of_the_path_is_told(first: bytes) -> None:
    diff = b"--- %b/q.c\n+++ %b/q.c\n@@ -1 +1 @@\n-a\n+b\n" % (first, first)
    read = read_diff(diff)
    assert read.touched == ("q.c",)
    assert any("src/" in note for note in read.notes) is (first == b"src")
