"""`clearhold admin passport-keys`: one signs, the others are only published."""

from __future__ import annotations

from collections.abc import Callable

from command_line import Ended


def test_the_key_is_changed_in_three_steps(run: Callable[..., Ended]) -> None:
    def told(*words: str) -> dict[str, list[str]]:
        done = run("admin", "passport-keys", *words, "--json")
        assert done.code == 0, done.err
        return done.document  # type: ignore[no-any-return]

    first = told("status")["signs"]
    prepared = told("prepare")
    assert prepared["signs"] == first
    [following] = prepared["only_published"]
    early = run("admin", "passport-keys", "switch")
    assert early.code != 0
    assert "Wait" in early.err
    assert told("switch", "--hours", "0") == {"signs": following, "only_published": [first]}
    assert told("drop") == {"signs": following, "only_published": []}
