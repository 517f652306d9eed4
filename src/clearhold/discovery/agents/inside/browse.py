"""Lists, reads and searches a tree that strangers wrote; runs inside the sandbox.

Reads one question as JSON at /in/question and writes lines of JSON. Links are told and never
followed. What takes too long is ended from outside; what was written until then still counts.
"""

import json
import os
import re
import stat
import sys
import time
from pathlib import Path
from typing import Any

LARGEST_FILE = 8 << 20
MOST_FILES = 60_000
LONGEST_LINE = 4000
BEFORE_A_HIT = 80


def plain(name: str) -> str:
    """A name as text that any reader takes; one that is no UTF-8 cannot be asked for again."""
    return os.fsencode(name).decode("utf-8", "replace")


def tell(**answer: Any) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(answer) + "\n")


def opened(root: str, path: str) -> bytes:
    """The bytes of a plain file, one part of its path after the other, through no link."""
    place = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        *above, name = path.split("/")
        for part in above:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
            os.close(place)
            place = below
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
    finally:
        os.close(place)
    with os.fdopen(file, "rb") as content:
        if not stat.S_ISREG(os.fstat(content.fileno()).st_mode):
            message = "no plain file"
            raise OSError(message)
        return content.read(LARGEST_FILE + 1)


def listing(question: dict[str, Any]) -> None:
    """Tell every file by its root, its path and its size; -1 for what is no plain file."""
    count = 0
    for number, root in enumerate(question["roots"]):
        waiting = [""]
        while waiting:
            directory = waiting.pop()
            for entry in sorted(os.scandir(f"{root}/{directory}"), key=lambda each: each.name):
                path = f"{directory}/{entry.name}" if directory else entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                    continue
                count += 1
                if count > MOST_FILES:
                    tell(cut=True)
                    return
                regular = entry.is_file(follow_symlinks=False)
                size = entry.stat(follow_symlinks=False).st_size if regular else -1
                tell(root=number, path=plain(path), size=size)


def reading(question: dict[str, Any]) -> None:
    """Tell some lines of one file."""
    content = opened(question["root"], question["path"])
    if b"\0" in content[:8192]:
        tell(binary=True, size=len(content))
        return
    lines = content.split(b"\n")
    if not lines[-1]:
        lines.pop()
    tell(lines=len(lines), cut=len(content) > LARGEST_FILE)
    first, left = question["first"], question["characters"]
    for number, line in enumerate(lines[first - 1 : first - 1 + question["count"]], start=first):
        text = line.decode("utf-8", "replace")
        shown = text[: question["width"]]
        left -= len(shown) + 1
        if left < 0:
            return
        tell(number=number, text=shown, more=len(text) > len(shown))


def some_lines(question: dict[str, Any]) -> None:
    """Tell some lines of several files, each by the file's place in the question."""
    for place, (root, path, numbers) in enumerate(question["files"]):
        try:
            lines = opened(root, path).split(b"\n")
        except OSError:
            continue
        for number in numbers:
            if number <= len(lines):
                text = lines[number - 1].decode("utf-8", "replace")
                tell(file=place, number=number, text=text[: question["width"]])


def searching(question: dict[str, Any]) -> None:
    """Tell lines that match, until there are enough or the time is up."""
    pattern = re.escape(question["pattern"]) if question["literal"] else question["pattern"]
    try:
        compiled = re.compile(pattern, re.IGNORECASE if question["ignore_case"] else 0)
    except (re.error, RecursionError, OverflowError) as error:
        tell(wrong=str(error)[:200])
        return
    until = time.monotonic() + question["seconds"]
    left = question["most"]
    for root, path, shown in question["files"]:
        if time.monotonic() > until:
            tell(cut=True)
            return
        try:
            content = opened(root, path)
        except OSError:
            continue
        if b"\0" in content[:8192]:
            continue
        for number, line in enumerate(content.split(b"\n"), start=1):
            text = line.decode("utf-8", "replace")[:LONGEST_LINE]
            found = compiled.search(text)
            if found is None:
                continue
            begin = max(found.start() - BEFORE_A_HIT, 0)
            tell(path=shown, line=number, text=text[begin : begin + question["width"]])
            sys.stdout.flush()
            left -= 1
            if not left:
                tell(cut=True)
                return


def main() -> None:
    """Answer the question."""
    question = json.loads(Path("/in/question").read_text("utf-8"))
    answers = {"list": listing, "read": reading, "lines": some_lines, "search": searching}
    answers[question["what"]](question)
    tell(done=True)


if __name__ == "__main__":
    main()
