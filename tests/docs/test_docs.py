from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import typer

from clearhold.delivery.cli.main import app
from clearhold.demo.progress import STAGES
from clearhold.demo.story import ACTS
from clearhold.ports.sandbox import Tier
from clearhold.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parent.parent.parent
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").rglob("*.md")))
# What ./run and the tools of developers make beside the sources.
MADE = {
    ".git",
    ".venv",
    ".tools",
    ".demo",
    ".cache",
    ".hypothesis",
    "__pycache__",
    "report",
    "dist",
}

COMMAND = typer.main.get_command(app)


def _pages() -> list[Any]:
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES]


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _blocks(text: str) -> Iterator[str]:
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield block.replace("\\\n", " ")


def _prose(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def _commands() -> dict[str, dict[str, Any]]:
    """Each command of the command line, with the commands of a group."""
    top: dict[str, Any] = COMMAND.commands  # type: ignore[attr-defined]
    return {name: dict(getattr(each, "commands", {})) for name, each in top.items()}


def _sources() -> Iterator[Path]:
    """Every file of the project but the lock file, which names where packages came from.

    A checkout beside another one has a file `.git` that says where that one lies.
    """
    for place, directories, files in os.walk(ROOT):
        directories[:] = [
            each for each in directories if each not in MADE and not each.endswith("_cache")
        ]
        yield from (Path(place) / each for each in files if each not in {"uv.lock", ".git"})


def _called(text: str) -> Iterator[list[str]]:
    """Every call of the command line in code: the words after `clearhold`."""
    for block in _blocks(text):
        for line in block.splitlines():
            found = re.match(r"(?:\./run )?clearhold (.+)$", line.strip())
            if found:
                yield shlex.split(found[1], comments=True)
    for words in re.findall(r"`(?:\./run )?clearhold ([^`]+)`", _prose(text)):
        yield words.split()


def _options(command: Any) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts}


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _prose(text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


def _default(value: object) -> str:
    if isinstance(value, Tier):
        return f"`{value.name.lower()}`"
    return f"`{value}`" if str(value) and value != () else "empty"


def test_every_setting_is_documented_with_its_default_and_no_other() -> None:
    page = _text(ROOT / "docs" / "operations.md")
    rows = dict(re.findall(r"^\| `(CLEARHOLD_\w+)` \| ([^|]+?) \| [^|]+ \|$", page, re.MULTILINE))
    assert rows == {PREFIX + each.name.upper(): _default(each.default) for each in fields(Settings)}


def test_every_command_and_group_is_described_somewhere() -> None:
    called = {words[0] for page in PAGES for words in _called(_text(page))}
    demo = {"demo"}  # reached by ./run demo
    assert sorted(set(_commands()) - demo - called) == []
    assert "./run demo" in _text(README)


@pytest.mark.parametrize("page", _pages())
def test_every_command_shown_exists_with_the_options_shown(page: Path) -> None:
    for words in _called(_text(page)):
        if words[:2] == ["model", "demo"]:
            continue  # a story on top of the product's own commands, as ./run demo is
        command: Any = COMMAND
        for word in words:
            inner = getattr(command, "commands", {})
            if not inner:
                break
            assert word in inner, f"clearhold {' '.join(words)}: there is no {word}"
            command = inner[word]
        given = {word.split("=")[0] for word in words if word.startswith("--")}
        assert given <= _options(command), f"{' '.join(words)} has not all of {given}"


@pytest.mark.parametrize("page", _pages())
def test_every_relative_link_and_image_leads_somewhere(page: Path) -> None:
    links = re.findall(r"!?\[[^\]]*\]\(([^)\s]+)\)", _prose(_text(page)))
    for link in links:
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert target.is_relative_to(ROOT), f"{link} leads out of the project"
        if anchor:
            assert anchor in _anchors(_text(target)), f"{link} names no heading"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached = {README}
    waiting = [README]
    while waiting:
        page = waiting.pop()
        for link in re.findall(r"\]\(([^)#\s]+)", _prose(_text(page))):
            target = (page.parent / link).resolve()
            target = target / "README.md" if target.is_dir() else target
            if target.suffix == ".md" and target.exists() and target not in reached:
                reached.add(target)
                waiting.append(target)
    assert sorted(set(PAGES) - reached) == []


def test_the_readme_begins_with_the_two_commands() -> None:
    first = next(_blocks(_text(README)))
    lines = [line.split("#")[0].strip() for line in first.splitlines()]
    assert lines == ["./run demo", "./run test"]


def test_the_demo_shown_has_the_stages_of_the_demo() -> None:
    shown = re.findall(r"^\[ ?(\d+)/(\d+)\] (.+)$", _text(README), re.MULTILINE)
    acts = enumerate(ACTS, start=1)
    assert shown == [(str(number), str(STAGES), title) for number, (title, _) in acts]


def test_every_test_that_the_security_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", _text(ROOT / "docs" / "security.md")))
    sources = "\n".join(_text(path) for path in (ROOT / "tests").rglob("test_*.py"))
    known = set(re.findall(r"def (test_\w+)\(", sources))
    assert named
    assert sorted(named - known) == []


def test_every_decision_is_listed_under_its_own_number_and_title() -> None:
    places = ROOT / "docs" / "decisions"
    listed = re.findall(r"^(\d+)\. \[(.+?)\]\((.+?)\)$", _text(places / "README.md"), re.MULTILINE)
    assert [file for _, _, file in listed] == sorted(path.name for path in places.glob("[0-9]*.md"))
    for number, title, file in listed:
        heading = _text(places / file).splitlines()[0]
        assert heading.startswith(f"# {number}. {title}")
        assert file.startswith(f"{int(number):04}-")


def test_every_picture_says_in_words_what_it_shows() -> None:
    pictures = sorted((ROOT / "docs").rglob("*.svg"))
    assert pictures
    for picture in pictures:
        root = ET.fromstring(_text(picture))  # noqa: S314  # the project's own file
        for label in root.attrib["aria-labelledby"].split():
            (element,) = root.findall(f".//*[@id='{label}']")
            assert (element.text or "").strip()
        assert "prefers-color-scheme: dark" in _text(picture)
        assert not root.findall(".//{*}script")


def test_the_picture_shows_every_module_that_exists() -> None:
    root = ET.fromstring(_text(ROOT / "docs" / "modules.svg"))  # noqa: S314  # the project's own
    shown = {each.text for each in root.findall(".//*[@class='name']")}
    services = (ROOT / "src" / "clearhold").glob("*/service.py")
    assert {path.parent.name for path in services} <= shown


def test_no_host_of_a_registry_and_no_path_of_a_developers_machine_is_written_down() -> None:
    # Put together here, so that this file is not the first to be found.
    hosts = ("py" + "pi.org", "pythonhosted" + ".org", "deb.debian" + ".org", "npmjs" + ".com")
    places = ("/work/" + "main", "/work/" + "shared", "/tmp/" + "uvv")
    found = []
    for path in _sources():
        try:
            text = _text(path)
        except UnicodeDecodeError:
            continue
        found += [f"{path}: {each}" for each in (*hosts, *places) if each in text]
    assert found == []
