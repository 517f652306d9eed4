"""What a package needs: chosen as of its release, placed where it is found, and nothing run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from clearhold.adapters.sources_npm import npm_settings
from clearhold.kernel.errors import NotFoundError
from clearhold.validation.drafting import npm_tree, pypi_tree
from clearhold.wire import npm_package, pypi_index
from clearhold.wire.npm_package import NpmPackage
from clearhold.wire.pypi_index import PypiFile

REGISTRY = {
    "root": {"1.0.0": {"dependencies": {"a": "^1.0.0", "b": "^1.0.0", "gone": "^1.0.0"}}},
    "a": {"1.0.0": {"dependencies": {"b": "^2.0.0"}}, "1.1.0": {}, "1.2.0": {}},
    "b": {"1.0.0": {"dependencies": {"a": "*"}}, "2.0.0": {"peerDependencies": {"c": "1.x"}}},
    "c": {"1.0.0": {"optionalDependencies": {"d": "1"}, "dependencies": {"d": "1"}}},
}
TIMES = {"a": {"1.0.0": "2019", "1.1.0": "2025"}}


def package(name: str) -> NpmPackage:
    if name not in REGISTRY:
        raise NotFoundError("Nobody published it.", next_step="-")
    told = {
        "versions": REGISTRY[name],
        "time": TIMES.get(name, {}),
        "dist-tags": {"latest": "1.0.0"},
    }
    return npm_package.read(json.dumps(told).encode())


def test_an_npm_tree_is_of_its_time_and_every_package_finds_what_fits() -> None:
    tree = npm_tree.resolve("root", "1.0.0", package, before="2020")
    assert tree.placed == {
        "node_modules/a": ("a", "1.0.0"),
        "node_modules/b": ("b", "1.0.0"),
        "node_modules/a/node_modules/b": ("b", "2.0.0"),
        "node_modules/c": ("c", "1.0.0"),
    }
    assert len(tree.problems) == 1
    assert "gone" in tree.problems[0]
    later = npm_tree.resolve("root", "1.0.0", package, before="2026")
    assert later.placed["node_modules/a"] == ("a", "1.1.0")


@pytest.mark.parametrize(
    ("stated", "taken"),
    [
        ("^1.1.0", "1.0.0"),
        ("^2.0.0", "1.2.0"),
        ("~1.2.0", "1.1.0"),
        ("1", "1.2.0"),
        ("no", "1.2.0"),
    ],
)
def test_what_a_fix_asks_for_otherwise_is_not_taken_for_the_release_before_it(
    stated: str, taken: str
) -> None:
    tree = npm_tree.resolve("root", "1.0.0", package, outside={"a": stated})
    assert tree.placed["node_modules/a"] == ("a", taken)


def test_only_what_both_releases_need_differently_is_told() -> None:
    needs = {
        "1.0.0": {"a": "^1.0.0", "b": "1", "c": "1"},
        "1.0.1": {"a": "^1.1.0", "b": "1", "d": "1"},
    }
    told = npm_package.read(
        json.dumps(
            {"versions": {each: {"dependencies": its} for each, its in needs.items()}}
        ).encode()
    )
    assert npm_tree.raised(told, "1.0.0", "1.0.1") == {"a": "^1.1.0"}


def wheel(name: str, version: str, uploaded: str = "2020", tags: str = "py3-none-any") -> PypiFile:
    return PypiFile(f"{name}-{version}-{tags}.whl", version, frozenset({tags}), uploaded)


INDEX = {
    "needed": [
        *(wheel("needed", "1.0"), wheel("needed", "2.0", "2024"), wheel("needed", "0.9")),
        wheel("needed", "1.1b3"),
    ],
    "compiled": [wheel("compiled", "1.0", tags="cp311-cp311-manylinux_2_17_x86_64")],
    "below": [PypiFile("below-1.0.tar.gz", "1.0", frozenset(), "2019")],
}
REQUIREMENTS = {"needed": ["below>=1; python_version >= '3'", "other; extra == 'more'"]}


def index(name: str) -> Sequence[PypiFile]:
    if name not in INDEX:
        raise NotFoundError("Nobody published it.", next_step="-")
    return INDEX[name]


def test_what_a_python_package_needs_is_of_its_time_and_without_its_extras() -> None:
    found = pypi_tree.resolve(
        "root",
        ["Needed>=0.5", "compiled", "absent<2", "root[all]", "old; python_version < '3'"],
        index,
        lambda name, _: REQUIREMENTS.get(name, []),
        python="3.11",
        fits=lambda file: "x86_64" in file.filename,
        before="2021",
    )
    assert {name: file.version for name, file in found.files.items()} == {
        "needed": "1.0",
        "compiled": "1.0",
        "below": "1.0",
    }
    assert len(found.problems) == 1
    assert "absent" in found.problems[0]


def test_an_index_is_read_in_both_of_its_forms_and_what_is_yanked_is_left_out() -> None:
    files = [
        {"filename": "x-1.0.tar.gz", "upload-time": "2020-01-01", "yanked": False},
        {"filename": "x-1.0-py3-none-any.whl", "yanked": False},
        {"filename": "x-2.0.tar.gz", "yanked": "broken"},
        {"filename": "x.exe", "yanked": False},
    ]
    source, built = pypi_index.read(json.dumps({"files": files}).encode())
    assert (source.version, source.source, source.uploaded) == ("1.0", True, "2020-01-01")
    assert built.pure
    page = (
        b'<a href="/x-1.0.tar.gz#sha256=0">x-1.0.tar.gz</a> <a href="y">x-1.0-py3-none-any.whl</a>'
    )
    assert [each.filename for each in pypi_index.read(page)] == [
        "x-1.0.tar.gz",
        "x-1.0-py3-none-any.whl",
    ]


def test_requirements_are_read_from_wheels_and_from_older_source(tmp_path: Path) -> None:
    (tmp_path / "x.dist-info").mkdir()
    told = "Metadata-Version: 2.1\nRequires-Dist: a (>=1)\nRequires-Dist: b; extra == 't'\n\nBody\n"
    (tmp_path / "x.dist-info" / "METADATA").write_text(told)
    assert pypi_tree.requirements_of(tmp_path) == ["a (>=1)", "b; extra == 't'"]
    (tmp_path / "x.dist-info" / "METADATA").unlink()
    (tmp_path / "x.egg-info").mkdir()
    (tmp_path / "x.egg-info" / "requires.txt").write_text(
        "a>=1\n\n[:python_version<'3']\nold\n\n[tests]\npytest\n"
    )
    assert pypi_tree.requirements_of(tmp_path) == [
        "a>=1",
        "old; python_version<'3'",
        "pytest; extra == 'none'",
    ]


def test_a_registry_token_goes_to_nobody_but_who_it_is_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_userconfig", str(tmp_path / "npmrc"))
    monkeypatch.delenv("npm_config_registry", raising=False)
    monkeypatch.setenv("MINE", "hidden-token")
    (tmp_path / "npmrc").write_text(
        "@ours:registry=https://npm.example/ours\n//npm.example/ours/:_authToken=${MINE}\n"
    )
    settings = npm_settings()
    assert settings.registry_of("@ours/x") == "https://npm.example/ours/"
    assert settings.registry_of("ours") == settings.registry_of("@other/x") == settings.registry
    told = {"authorization": "Bearer hidden-token"}
    assert settings.headers("https://npm.example/ours/@ours/x") == told
    for other in ("https://npm.example/", "https://npm.example.evil/ours/", settings.registry):
        assert settings.headers(other) == {}
    assert "hidden-token" not in repr(settings)
