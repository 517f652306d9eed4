"""A pack is committed to before access opens, and opened one task at a time by two people."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from clearhold.delivery.cli import main, model_suite, sealed
from clearhold.evaluations import plan as plans
from clearhold.evaluations.suites import packs, shipped
from clearhold.evaluations.suites.template import Template, digest
from clearhold.kernel.errors import InvalidError, NotFoundError

FEW = tuple(each for each in shipped.every_template() if each.name in {"shop", "clock-key"})
KNOWN = {each.name: each for each in FEW}
NOW = datetime(2026, 11, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def pack() -> packs.Pack:
    return packs.make("winter", FEW, 2)


def test_an_opened_task_is_what_was_committed_to_and_nothing_else(pack: packs.Pack) -> None:
    suite = packs.suite_of(pack, FEW)
    root = packs.published(pack, suite)
    assert (root.tasks, root.templates) == (4, 2)
    for each in pack.tasks:
        opened = packs.open_task(pack, suite, each.name)
        assert packs.verify(opened, root, KNOWN) == ()
        other = packs.published(packs.make("winter", FEW, 2), suite)
        assert packs.verify(opened, other, KNOWN)
    opened = packs.open_task(pack, suite, pack.tasks[0].name)
    for change in ({"index": 7}, {"salt": "00"}, {"content": "zz"}, {"name": "winter-0009"}):
        assert packs.verify(msgspec.structs.replace(opened, **change), root, KNOWN)
    entry = next(each for each in suite.entries if each.name == opened.name)
    moved = msgspec.structs.replace(
        pack,
        tasks=tuple(
            msgspec.structs.replace(each, twin="shop-9") if each.name == entry.name else each
            for each in pack.tasks
        ),
    )
    assert packs.published(moved, packs.suite_of(moved, FEW)) != root, "twins are committed to"
    later = {
        name: Template(name, each.family, 1, each.make, version=2) for name, each in KNOWN.items()
    }
    assert packs.verify(opened, root, later), "a template that changed makes another task"


def test_names_and_commitment_of_a_pack_tell_nothing_of_its_tasks(pack: packs.Pack) -> None:
    suite = packs.suite_of(pack, FEW)
    public = packs.encode(packs.published(pack, suite)).decode()
    for each in pack.tasks:
        assert each.seed not in public
        assert each.template not in each.name
        assert int(each.seed) > 1 << 64
        assert each.seed not in repr(suite)
    assert {each.twin for each in suite.entries} == {
        "shop-1",
        "shop-2",
        "clock-key-1",
        "clock-key-2",
    }
    practice = {digest(each.task(seed)) for each in FEW for seed in (1, 2)}
    assert not practice & {digest(each) for each in suite.tasks()}


def test_a_pack_survives_being_written_and_refuses_what_is_none(pack: packs.Pack) -> None:
    data = packs.encode(pack)
    assert packs.read(data) == pack
    with pytest.raises(NotFoundError):
        packs.suite_of(pack, FEW[:1])
    twice = msgspec.structs.replace(pack, tasks=pack.tasks[:1] * 2)
    large = msgspec.structs.replace(pack.tasks[0], seed=str(1 << 128))
    other = [
        msgspec.structs.replace(pack.tasks[0], **change)
        for change in ({"seed": "007"}, {"name": ""}, {"name": "a\nb"}, {"twin": "\x1b[2J"})
    ]
    several = (msgspec.structs.replace(pack, tasks=(each,)) for each in (large, *other))
    for wrong in (twice, *several):
        with pytest.raises(InvalidError):
            packs.read(packs.encode(wrong))


@settings(max_examples=40)
@given(st.binary(max_size=200))
def test_no_bytes_are_taken_for_a_pack_or_a_log(data: bytes) -> None:
    with pytest.raises(InvalidError):
        packs.read(data)
    if data.strip():
        with pytest.raises(InvalidError):
            packs.read_log(data)


def test_every_unsealing_is_chained_and_wants_two_people(pack: packs.Pack) -> None:
    suite = packs.suite_of(pack, FEW)
    lines: list[packs.Unsealing] = []
    for each in pack.tasks[:3]:
        opened = packs.open_task(pack, suite, each.name)
        lines.append(
            packs.unsealing(lines, opened, by="ada", second="bo", reason="retired", at=NOW)
        )
    written = b"".join(packs.encode(each) + b"\n" for each in lines)
    assert packs.read_log(written) == tuple(lines)
    for broken in (
        written.replace(b"retired", b"removed", 1),
        b"".join(written.splitlines(True)[1:]),
    ):
        with pytest.raises(InvalidError):
            packs.read_log(broken)
    for by, second, reason in (("ada", "Ada ", "x"), ("ada", "", "x"), ("ada", "bo", " ")):
        with pytest.raises(InvalidError):
            packs.unsealing((), opened, by=by, second=second, reason=reason, at=NOW)


def test_a_pack_is_sealed_opened_and_verified_by_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "templates", lambda _: FEW)
    pack, public, log, opening = (tmp_path / each for each in ("pack", "public", "log", "opening"))
    model_suite.seal("winter", pack, public, suite="ctf", each=1)
    assert pack.stat().st_mode & 0o077 == 0
    capsys.readouterr()
    model_suite.unseal(pack, "winter-0001", log, by="ada", second="bo", reason="done", as_json=True)
    opening.write_text(capsys.readouterr().out)
    model_suite.verify(opening, public, log=log)
    assert '"holds": true' in capsys.readouterr().out


def test_an_encrypted_pack_opens_with_its_identity_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "templates", lambda _: FEW)
    mine, other = tmp_path / "mine.txt", tmp_path / "other.txt"
    recipient, _ = (sealed.new_identity(each) for each in (mine, other))
    pack, public, plan = (str(tmp_path / each) for each in ("pack", "public", "plan"))

    def does(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(main.app, ["model", *words])
        return done.exit_code, done.output

    seal = ("suite", "seal", "winter", pack, public, "--each", "1", "--recipient")
    code, said = does(*seal, "age1nobody")
    assert (code, Path(pack).exists()) == (1, False)
    assert "no age recipient" in said
    assert does(*seal, recipient)[0] == 0
    kept = Path(pack).read_bytes()
    assert kept.startswith(b"age-encryption.org/v1\n")
    assert all(each.name.encode() not in kept for each in FEW)
    draft = (
        "plan",
        "draft",
        plan,
        "--engagement",
        "e",
        "--variant",
        "rc",
        "--hypothesis",
        "Solves.",
    )
    code, said = does(*draft, "--pack", pack)
    assert code == 1
    assert "--identity" in said
    code, said = does(*draft, "--pack", pack, "--identity", str(other))
    assert code == 1
    assert "does not open" in said
    code, said = does(*draft, "--pack", pack, "--identity", str(mine))
    assert code == 0, said
    [named] = plans.read(Path(plan).read_bytes()).plan.suites
    assert named.commitment == json.loads(Path(public).read_bytes())["root"]
    unseal = (
        "suite",
        "unseal",
        pack,
        "winter-0001",
        str(tmp_path / "log"),
        "--identity",
        str(mine),
    )
    assert does(*unseal, "--by", "ada", "--second", "bo", "--reason", "retired")[0] == 0
