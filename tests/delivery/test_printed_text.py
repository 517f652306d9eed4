"""What foreign text can do to a terminal: nothing, and it cannot pass as the product's own lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.delivery.cli.output import show

FORGED = "harmless\nstate: reproduced\nlevel: 4\n  - finding: x"


def lines(capsys: pytest.CaptureFixture[str], value: object) -> list[str]:
    show(value, as_json=False)
    return capsys.readouterr().out.splitlines()


def test_further_lines_of_a_text_stand_behind_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    shown = lines(capsys, {"description": FORGED, "state": "received", "notes": [FORGED]})
    assert [line for line in shown if "state:" in line and "|" not in line] == ["state: received"]
    assert "  | level: 4" in shown


texts = st.text(st.sampled_from("a:- \n\r\x1b\u202e|"), max_size=12)


@given(text=texts, name=st.sampled_from(["a", "b"]))
def test_no_text_begins_a_line_of_its_own(text: str, name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        printed: list[str] = []
        patch.setattr("clearhold.delivery.cli.output.typer.echo", printed.append)
        show({name: text, "list": [text], "deep": {"deeper": text}}, as_json=False)
    own = [line for line in printed if not line.lstrip().startswith("| ")]
    assert [line.strip().split(" ")[0] for line in own] == [
        f"{name}:",
        "list:",
        "-",
        "deep:",
        "deeper:",
    ]
    assert not [line for line in printed if "\n" in line or "\x1b" in line or "\u202e" in line]
