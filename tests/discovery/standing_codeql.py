#!/usr/bin/python3
"""A program that answers as the CodeQL command line is documented to, for tests of what asks it.

It extracts files into an archive, runs the build of what is compiled, and its one query points at calls
of `system`. It refuses what the real one refuses: a database that is there already or is none, a
compiled language without a build, a pack that is not in its distribution.
"""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import quote

PACKS = Path(__file__).resolve().parent / "qlpacks"
SUFFIXES = {"cpp": {".c", ".h"}, "python": {".py"}, "javascript": {".js"}}


def refuse(why: str) -> None:
    sys.stderr.write(f"A fatal error occurred: {why}\n")
    raise SystemExit(2)


def create(options: dict[str, str], database: Path) -> None:
    if database.exists() or not database.parent.is_dir():
        refuse("the database is there already, or its parent is not")
    source, language = Path(options["source-root"]), options["language"]
    built = language == "cpp"
    if built:
        if "command" not in options:
            refuse("no build command")
        if subprocess.run(options["command"], shell=True, cwd=source, check=False).returncode:  # noqa: S602
            refuse("the build failed")
    seen = [each for each in sorted(source.rglob("*")) if each.suffix in SUFFIXES[language]]
    if built:
        compiled = (source / "compiled").read_text().split()
        seen = [each for each in seen if str(each.relative_to(source)) in compiled]
    if not seen:
        refuse("no source code was seen")
    database.mkdir()
    (database / "codeql-database.yml").write_text(
        json.dumps({"sourceLocationPrefix": str(source), "primaryLanguage": language})
    )
    with zipfile.ZipFile(database / "src.zip", "w") as archive:
        for each in seen:
            archive.write(each, str(each).lstrip("/"))


def analyze(options: dict[str, str], database: Path, queries: str) -> None:
    if not (database / "codeql-database.yml").is_file():
        refuse("not a database")
    pack, _, suite = queries.partition(":")
    if not (PACKS / pack / suite).is_file():
        refuse(f"{pack} is not on this machine")
    described = json.loads((database / "codeql-database.yml").read_text())
    prefix = described["sourceLocationPrefix"].lstrip("/") + "/"
    results = []
    with zipfile.ZipFile(database / "src.zip") as archive:
        for name in archive.namelist():
            for number, line in enumerate(archive.read(name).split(b"\n"), start=1):
                if re.search(rb"\bsystem\(", line):
                    place = {"uri": quote(name.removeprefix(prefix)), "uriBaseId": "%SRCROOT%"}
                    region = {"startLine": number}
                    at = {"physicalLocation": {"artifactLocation": place, "region": region}}
                    results.append(
                        {
                            "ruleId": "x/command-injection",
                            "message": {"text": "A command."},
                            "locations": [at],
                        }
                    )
    driver = {"name": "CodeQL", "semanticVersion": "0.0.0"}
    log = {"version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}
    Path(options["output"]).write_text(json.dumps(log))


def main() -> None:
    words = sys.argv[1:]
    if words == ["version", "--format=terse"]:
        sys.stdout.write("0.0.0-stand-in\n")
        return
    split = words.index("--")
    options = dict(each.removeprefix("--").split("=", 1) for each in words[2:split])
    match words[:2], words[split + 1 :]:
        case ["database", "create"], [database]:
            create(options, Path(database))
        case ["database", "analyze"], [database, queries] if options["format"] == "sarif-latest":
            analyze(options, Path(database), queries)
        case _:
            refuse("unknown command")


if __name__ == "__main__":
    main()
