"""Ordinary inputs: benign ones with a word changed as words commonly are, sort by sort.

A fix that refuses every name with a dot shows nothing on benign inputs that hold none. What is made
here needs no seed, so that every candidate for a recipe is asked the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

MOST_OF_A_SORT: Final = 8
FEWEST_REFUSED: Final = 3
LARGEST: Final = 16 * 1024
_LONG: Final = 48
_WORD: Final = re.compile(r"(?<![\\%&0-9A-Za-z])[A-Za-z][A-Za-z0-9]*")
_NO_WORDS: Final = frozenset({"true", "false", "null", "None", "True", "False"})


@dataclass(frozen=True, slots=True)
class Sort:
    """A common way in which inputs differ: how it is told, and whether a fix may not refuse it.

    What is not `telling` is refused by real fixes now and then, and told of alone.
    """

    words: str
    forms: tuple[Callable[[str], str], ...]
    telling: bool = True

    @property
    def first(self) -> int:
        """How many are asked before one was answered otherwise."""
        return 3 if self.telling else 1


def _around(*forms: str) -> tuple[Callable[[str], str], ...]:
    return tuple(form.format for form in forms)


def _lengthened(word: str) -> str:
    return word * (_LONG // len(word) + 1)


WORDS: Final[Mapping[str, Sort]] = {
    "dot": Sort("a dot in a word", _around("{0}.txt", "{0}.{0}", "v1.{0}", "{0}.b.c")),
    "dash": Sort("a dash in a word", _around("{0}-b", "{0}-{0}", "pre-{0}", "{0}-b-c")),
    "underscore": Sort("an underscore in a word", _around("{0}_b", "{0}_{0}", "a_{0}", "{0}_b_c")),
    "digit": Sort("a digit in a word", _around("{0}1", "{0}2024", "x7{0}", "{0}0{0}")),
    "capital": Sort("capital letters", (str.upper, str.capitalize, lambda word: f"{word}Name")),
    "long": Sort("a long word", (_lengthened, lambda word: f"{word}{'abc' * 20}")),
    "space": Sort("two words for one", _around("{0} b", "b {0}", "{0} {0}"), telling=False),
    "letter": Sort("a letter beyond ASCII", _around("{0}é", "ñ{0}", "日{0}"), telling=False),
    "empty": Sort("nothing for a word", (lambda _word: "",), telling=False),
}
SHAPES: Final[Mapping[str, Sort]] = {
    "more": Sort("more of the same", ()),
    "nested": Sort("values one level deeper", ()),
}
SORTS: Final[Mapping[str, Sort]] = {**WORDS, **SHAPES}


def made_from(benign: Sequence[bytes]) -> dict[str, tuple[bytes, ...]]:
    """Up to `MOST_OF_A_SORT` inputs of each sort, none of them given; texts alone are changed."""
    texts = [text for each in benign if (text := _text(each)) is not None]
    found: dict[str, tuple[bytes, ...]] = {}
    seen = set(benign)
    for name in SORTS:
        makers = [
            _SHAPED[name](text) if name in SHAPES else _worded(WORDS[name], text, first=number)
            for number, text in enumerate(texts)
        ]
        kept: list[bytes] = []
        for text in _in_turn(makers):
            content = text.encode()
            if content not in seen and len(content) <= LARGEST:
                seen.add(content)
                kept.append(content)
            if len(kept) == MOST_OF_A_SORT:
                break
        found[name] = tuple(kept)
    return found


def refused(counts: Mapping[str, tuple[int, int]]) -> str:
    """The sort that a fix refuses, by how many of how many were answered otherwise; or none.

    At least three and a third of a telling sort; or so many of two sorts together, of whichever.
    """
    broad = [
        name
        for name, (differing, known) in counts.items()
        if differing >= FEWEST_REFUSED and differing * 3 >= known
    ]
    telling = [name for name in broad if SORTS[name].telling]
    return next(iter(telling or (broad if len(broad) > 1 else ())), "")


def _text(content: bytes) -> str | None:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _worded(sort: Sort, text: str, *, first: int) -> Iterator[str]:
    """The text with one of its words in another form, everywhere and where it stands last.

    The last word comes first: what stands ahead is more often a keyword or the name of a call.
    """
    words = list(dict.fromkeys(each for each in _WORD.findall(text) if each not in _NO_WORDS))
    chosen = (words[-1:], words[:1], words[len(words) // 2 :][:1], words)
    ordered = list(dict.fromkeys(word for some in chosen for word in some))
    for number in range(max(len(words), len(sort.forms)) if words else 0):
        word = ordered[(first + number) % len(ordered)]
        new = sort.forms[number % len(sort.forms)](word)
        places = [each for each in _WORD.finditer(text) if each[0] == word]
        yield _WORD.sub(lambda each: new if each[0] == word else each[0], text)  # noqa: B023
        if len(places) > 1:
            yield text[: places[-1].start()] + new + text[places[-1].end() :]


def _more(text: str) -> Iterator[str]:
    tree = _tree(text)
    if isinstance(tree, list) and tree:
        yield from (json.dumps([*tree, *[tree[-1]] * number]) for number in (1, 3, 9))
        yield from (json.dumps(tree * number) for number in (2, 4))
    elif isinstance(tree, dict) and tree:
        last = list(tree.values())[-1]
        yield from (
            json.dumps({**tree, **{f"{name}{number}": last for number in range(count)}})
            for name, count in (("more", 1), ("other", 3), ("more", 9))
        )
    elif tree is None:
        lines = text.splitlines(keepends=True)
        if len(lines) > 1:
            yield from ("".join([*lines, *lines[-1:] * number]) for number in (1, 3, 9))
            yield from (text * number for number in (2, 4))


def _nested(text: str) -> Iterator[str]:
    tree = _tree(text)
    if not isinstance(tree, dict | list):
        return
    for wrap in (lambda held: {"b": held}, lambda held: [held], lambda held: {"b": {"c": held}}):
        yield json.dumps(_leaves(tree, wrap, every=False)[0])
        yield json.dumps(_leaves(tree, wrap, every=True)[0])


def _leaves(value: Any, wrap: Callable[[Any], Any], *, every: bool) -> tuple[Any, bool]:
    """The value with every leaf wrapped, or the last one; and whether one was."""
    if isinstance(value, dict | list) and value:
        items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
        done, made = False, []
        for key, held in reversed(items):
            inner, wrapped = (
                (held, False) if done and not every else _leaves(held, wrap, every=every)
            )
            done = done or wrapped
            made.append((key, inner))
        made.reverse()
        return (dict(made) if isinstance(value, dict) else [each for _, each in made]), done
    return wrap(value), True


def _tree(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _in_turn(makers: Sequence[Iterator[str]]) -> Iterator[str]:
    """One of each in turn, until none has more."""
    left = list(makers)
    while left:
        for maker in list(left):
            got = list(islice(maker, 1))
            if got:
                yield got[0]
            else:
                left.remove(maker)


_SHAPED: Final[Mapping[str, Callable[[str], Iterator[str]]]] = {"more": _more, "nested": _nested}
