"""Makes a CodeQL database of source that strangers wrote and asks its queries, in the sandbox.

Reads one question as JSON at /in/question. What is built was laid out at /work/src beforehand; what is
only read is laid out here, the files of the lease alone. Leaves the log at /out/result.sarif, and what
the database holds at /out/read.json.
"""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

sys.path.insert(0, "/in")
from browse import opened  # it lies beside this program in the sandbox

SOURCE = Path("/work/src")
DATABASE = "/work/database"
PROGRAM = "/codeql/codeql"
MOST = 60_000


def main() -> None:
    """Answer the question."""
    question = json.loads(Path("/in/question").read_text("utf-8"))
    SOURCE.mkdir(exist_ok=True)
    for root, inner, path in question["files"]:
        place = SOURCE / path
        try:
            content = opened(f"/src/{root}", inner)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        except (OSError, ValueError):
            continue  # the database will not hold it, and so it counts as not read
    bounds = ["--threads=1", f"--ram={question['memory_mb']}"]
    build = [f"--command={question['command']}"] if question["command"] else []
    language = f"--language={question['language']}"
    source = f"--source-root={SOURCE}"
    told = {"version": run(["version", "--format=terse"]).strip()[:60]}
    run(["database", "create", language, source, *bounds, *build, "--", DATABASE])
    how = ["--format=sarif-latest", "--output=/out/result.sarif", *bounds]
    run(["database", "analyze", *how, "--", DATABASE, question["queries"]])
    Path("/out/read.json").write_text(json.dumps(told | {"read": held()}), "utf-8")


def run(arguments: list[str]) -> str:
    """What the program prints; this one ends as it does when it fails."""
    done = subprocess.run(  # the command is our own, and so is the place
        [PROGRAM, *arguments], cwd=SOURCE, stdin=subprocess.DEVNULL, stdout=-1, check=False
    )
    if done.returncode != 0:
        sys.stderr.write(f"codeql {' '.join(arguments[:2])} ended with {done.returncode}\n")
        raise SystemExit(1)
    return done.stdout.decode("utf-8", "replace")


def held() -> list[str]:
    """The paths of the source files that the database was made of, as its archive of them says."""
    try:
        with zipfile.ZipFile(f"{DATABASE}/src.zip") as archive:
            names = archive.namelist()[:MOST]
    except (OSError, zipfile.BadZipFile):
        return []
    above = f"{os.fspath(SOURCE)}/".lstrip("/")
    return [name[len(above) :] for name in names if name.startswith(above)]


if __name__ == "__main__":
    main()
