"""What a hostile source archive cannot do when it is unpacked."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.kernel.errors import ClearholdError, InvalidError, TooLargeError
from clearhold.validation import archive
from clearhold.validation.archive import unpack


def _link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def _tar(path: Path, *members: tarfile.TarInfo | tuple[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size, info.mode = len(member[1]), 0o4777
                tar.addfile(info, io.BytesIO(member[1]))
    return path


def _zip(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as bundle:
        for name, content in members.items():
            bundle.writestr(name, content)
    return path


def _unpacked(path: Path, root: Path) -> Path:
    return unpack(path, hashlib.sha256(path.read_bytes()).hexdigest(), root)


def test_the_single_top_directory_is_left_out_and_modes_are_plain(tmp_path: Path) -> None:
    path = _tar(tmp_path / "a", ("p-1/run.sh", b"#!"), ("p-1/lib/x.c", b"int x;"))
    tree = _unpacked(path, tmp_path / "trees")
    assert (tree / "lib" / "x.c").read_bytes() == b"int x;"
    assert (tree / "run.sh").stat().st_mode & 0o7777 == 0o755
    assert _unpacked(path, tmp_path / "trees") == tree


def test_a_link_within_the_tree_is_kept(tmp_path: Path) -> None:
    path = _tar(tmp_path / "a", ("p/lib/x.c", b"1"), _link("p/y.c", "lib/x.c"))
    assert (_unpacked(path, tmp_path / "trees") / "y.c").read_bytes() == b"1"


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([("/tmp/owned", b"x")], id="an absolute path"),
        pytest.param([("p/../../owned", b"x")], id="a climbing path"),
        pytest.param([_link("p/out", "../../etc/passwd")], id="a link that climbs out"),
        pytest.param([_link("p/out", "/etc/passwd")], id="a link to an absolute path"),
        pytest.param([_link("p/hard", "p/x", tarfile.LNKTYPE)], id="a hard link"),
        pytest.param([_link("p/fifo", "", tarfile.FIFOTYPE)], id="a pipe"),
        pytest.param([_link("p/disk", "", tarfile.BLKTYPE)], id="a device"),
        pytest.param(
            [("p/d/x", b""), _link("p/l", "d"), ("p/l/y", b"x")], id="a path through a link"
        ),
        pytest.param([_link("p/l", "x"), ("p/l", b"x")], id="a file in place of a link"),
        pytest.param([("p/x", b"1"), ("p/x", b"2")], id="one path twice"),
        pytest.param([("p/a\\..\\b", b"x")], id="a backslash"),
    ],
)
def test_an_archive_that_reaches_out_is_refused_and_leaves_nothing(
    tmp_path: Path, members: list[tarfile.TarInfo | tuple[str, bytes]]
) -> None:
    path = _tar(tmp_path / "a", *members)
    with pytest.raises(InvalidError) as refused:
        _unpacked(path, tmp_path / "trees")
    assert refused.value.next_step
    assert list((tmp_path / "trees").iterdir()) == []
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "trees"]


def test_a_zip_archive_is_held_to_the_same(tmp_path: Path) -> None:
    with pytest.raises(InvalidError):
        _unpacked(_zip(tmp_path / "a", **{"../owned": b"x"}), tmp_path / "trees")
    tree = _unpacked(_zip(tmp_path / "b", **{"p/x": b"1"}), tmp_path / "trees")
    assert (tree / "x").read_bytes() == b"1"


@pytest.mark.parametrize(
    "content", [b"", b"not an archive", b"\x1f\x8b\x08 cut short", b"PK\x05\x06"]
)
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(InvalidError):
        _unpacked(path, tmp_path / "trees")


def test_an_archive_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAXIMUM_TREE_BYTES", 1000)
    monkeypatch.setattr(archive, "MAXIMUM_MEMBERS", 3)
    with pytest.raises(TooLargeError):
        _unpacked(_tar(tmp_path / "bomb", ("p/x", bytes(1001))), tmp_path / "trees")
    with pytest.raises(TooLargeError):
        _unpacked(_zip(tmp_path / "zip", x=bytes(600), y=bytes(600)), tmp_path / "trees")
    with pytest.raises(TooLargeError):
        _unpacked(_tar(tmp_path / "many", *((f"p/{n}", b"") for n in range(4))), tmp_path / "trees")


@given(
    names=st.lists(
        st.text(alphabet=st.sampled_from("ab./\\~ "), min_size=1, max_size=12), max_size=4
    )
)
def test_whatever_the_names_nothing_lands_outside_the_tree(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    place = tmp_path_factory.mktemp("drawn")
    path = _tar(place / "a", *((name, b"x") for name in names))
    try:
        tree = _unpacked(path, place / "trees")
    except ClearholdError:
        tree = None
    expected = [] if tree is None else [tree]
    assert list((place / "trees").iterdir()) == expected
    assert sorted(each.name for each in place.iterdir()) == ["a", "trees"]
