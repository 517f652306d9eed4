"""Lays out some files of trees that strangers wrote, and runs one analyser on them, in the sandbox.

Reads one question as JSON at /in/question. Files are laid out under numbers: neither a name nor a
settings file of the package ever reaches the analyser. Leaves what the analyser wrote to its
standard output at /out/result.sarif, and what was laid out at /out/read.json.
"""

import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, "/in")
from browse import opened  # it lies beside this program in the sandbox

STAGED = Path("/work/staged")


def main() -> None:
    """Answer the question."""
    question = json.loads(Path("/in/question").read_text("utf-8"))
    STAGED.mkdir()
    files = lines = size = 0
    skipped = []
    for root, inner, name in question["files"]:
        try:
            content = opened(f"/src/{root}", inner)
        except OSError:
            content = b"\0"
        if b"\0" in content or len(content) > question["largest"]:
            skipped.append(name)
            continue
        (STAGED / name).write_bytes(content)
        files, size = files + 1, size + len(content)
        lines += content.count(b"\n") + (not content.endswith(b"\n") and bool(content))
    with Path("/out/result.sarif").open("wb") as result:
        done = subprocess.run(  # the command is our own, and so is the place
            question["argv"],
            executable=question["program"],
            stdout=result,
            stdin=subprocess.DEVNULL,
            cwd="/work",
            check=False,
        )
    told = {
        "files": files,
        "lines": lines,
        "bytes": size,
        "code": done.returncode,
        "skipped": skipped,
    }
    Path("/out/read.json").write_text(json.dumps(told), "utf-8")


if __name__ == "__main__":
    main()
