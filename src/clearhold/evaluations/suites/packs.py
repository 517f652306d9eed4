"""Sealed packs: tasks of private seeds, a commitment to them that is published, and who opened which.

A pack is a secret file of seeds and salts. Its commitment is the root of `evaluations.sealing`; an
opened task carries its seed, so that anybody with the generator can make the same task again and see
that it is what was committed to. Each unsealing is a line that names the line before by its hash.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

import msgspec

from clearhold.evaluations import sealing
from clearhold.evaluations.sealing import Commitment, Opening, SealedSuite, SealedTask
from clearhold.evaluations.suites.template import MOST_SEED, Entry, Suite, Template, content
from clearhold.kernel.errors import InvalidError, NotFoundError
from clearhold.wire import json_bounds

LARGEST: Final = 8 * 1024 * 1024
BEGINNING: Final = bytes(32).hex()
"""What the first unsealing of a pack names as the one before."""
_SEED_BITS: Final = 128
_SEED_DIGITS: Final = 40


class PackedTask(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One task of a pack: its name tells nothing; the seed is in decimal, the salt in hexadecimal."""

    name: str
    salt: str
    seed: str
    template: str
    twin: str
    version: int


class Pack(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A pack, secret as a whole."""

    format: Literal["clearhold-pack/1"]
    name: str
    tasks: tuple[PackedTask, ...]


class Published(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is published of a pack before access opens: root in hexadecimal, and counts."""

    format: Literal["clearhold-commitment/1"]
    name: str
    root: str
    tasks: int
    templates: int


class Opened(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One opened task: what was committed to, and the way from it to the root; bytes in hexadecimal."""

    content: str
    format: Literal["clearhold-opening/1"]
    index: int
    name: str
    proof: tuple[str, ...]
    root: str
    salt: str
    size: int
    version: int


class Unsealing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A line of the unsealing log: who opened which task with whom, when and why."""

    at: datetime
    by: str
    number: int
    previous: str
    reason: str
    root: str
    second: str
    task: str

    @property
    def hash(self) -> str:
        """The hash that the next line names, in hexadecimal."""
        return hashlib.sha256(encode(self)).hexdigest()


def encode(value: msgspec.Struct) -> bytes:
    """The canonical bytes of any of these."""
    return msgspec.json.encode(value, order="deterministic")


def make(name: str, templates: Sequence[Template], each: int) -> Pack:
    """A pack of `each` tasks of every template, of new random seeds, in a random order.

    The first task of a template is the sealed twin of the practice task with seed 1, and so on: the
    same template in other words and numbers. Raises `ValueError` unless `each` is from 1 to 1000.
    """
    if not 1 <= each <= 1000:
        raise ValueError("A pack has 1 to 1000 tasks of each template.")
    drawn = [(template, number) for template in templates for number in range(1, each + 1)]
    secrets.SystemRandom().shuffle(drawn)
    entries = [
        Entry(
            f"{name}-{place:04}",
            template,
            secrets.randbits(_SEED_BITS),
            f"{template.name}-{number}",
        )
        for place, (template, number) in enumerate(drawn, 1)
    ]
    sealed = sealing.seal(Suite(name, tuple(entries)).contents())
    salts = {task.name: salt for task, salt in zip(sealed.tasks, sealed.salts, strict=True)}
    return Pack(
        format="clearhold-pack/1",
        name=name,
        tasks=tuple(
            PackedTask(
                name=entry.name,
                salt=salts[entry.name].hex(),
                seed=str(entry.seed),
                template=entry.template.name,
                twin=entry.twin,
                version=entry.template.version,
            )
            for entry in entries
        ),
    )


def read(data: bytes) -> Pack:
    """A pack from its bytes. Raises `InvalidError` for what is none."""
    found = json_bounds.decode(data, Pack, limits=json_bounds.Limits(size=LARGEST), what="a pack")
    names = {each.name for each in found.tasks}
    if len(names) != len(found.tasks) or not 0 < len(names) <= sealing.MOST_TASKS:
        raise InvalidError("The pack has no task, too many, or one twice.")
    for each in found.tasks:
        if not sealing.is_name(each.name) or (each.twin and not sealing.is_name(each.twin)):
            raise InvalidError("A task of the pack, or its twin, has a name that is no line.")
        if not _is_seed(each.seed) or len(_bytes(each.salt)) != sealing.SALT_BYTES:
            raise InvalidError(
                f"The pack's task {each.name!r} has no seed and salt of the right size."
            )
    return found


def suite_of(pack: Pack, templates: Iterable[Template]) -> Suite:
    """The tasks of a pack, to be run.

    Raises `NotFoundError` for a template that is not here, and `InvalidError` for one that has changed
    since the pack was sealed: its tasks would not be those that were committed to.
    """
    known = {each.name: each for each in templates}
    for each in pack.tasks:
        if each.template not in known:
            raise NotFoundError(f"There is no template {each.template!r} here.")
        if known[each.template].version != each.version:
            raise InvalidError(
                f"The pack was sealed with version {each.version} of {each.template}.",
                next_step=f"Use the release that has it; here it is {known[each.template].version}.",
            )
    return Suite(
        pack.name,
        tuple(
            Entry(each.name, known[each.template], int(each.seed), each.twin) for each in pack.tasks
        ),
    )


def sealed(pack: Pack, suite: Suite) -> SealedSuite:
    """The sealed suite of a pack; `suite` is what `suite_of` made of it."""
    salts = {each.name: _bytes(each.salt) for each in pack.tasks}
    contents = sorted(suite.contents().items())
    tasks = tuple(
        SealedTask(name, version, hashlib.sha256(data).digest())
        for (name, version), data in contents
    )
    return SealedSuite(tasks, tuple(salts[each.name] for each in tasks))


def published(pack: Pack, suite: Suite) -> Published:
    """What is published of a pack."""
    commitment = sealed(pack, suite).commitment
    return Published(
        format="clearhold-commitment/1",
        name=pack.name,
        root=commitment.root.hex(),
        tasks=commitment.size,
        templates=suite.templates,
    )


def open_task(pack: Pack, suite: Suite, name: str) -> Opened:
    """What opens one task. Raises `NotFoundError` for one that is not in the pack."""
    whole = sealed(pack, suite)
    entry = suite.entry(name)
    opening = whole.open(name)
    return Opened(
        content=content(entry).hex(),
        format="clearhold-opening/1",
        index=opening.index,
        name=name,
        proof=tuple(each.hex() for each in opening.proof),
        root=whole.commitment.root.hex(),
        salt=opening.salt.hex(),
        size=whole.commitment.size,
        version=opening.task.version,
    )


def verify(
    opened: Opened, against: Published, templates: Mapping[str, Template]
) -> tuple[str, ...]:
    """Every reason why an opened task is not what was committed to; none when it is.

    The content must open the published root, and the template and seed in it must make the task anew
    to the last byte.
    """
    try:
        data = bytes.fromhex(opened.content)
        task = SealedTask(opened.name, opened.version, hashlib.sha256(data).digest())
        proof = tuple(map(bytes.fromhex, opened.proof))
        opening = Opening(task, opened.index, bytes.fromhex(opened.salt), proof)
        root = bytes.fromhex(against.root)
    except ValueError as error:
        return (f"it cannot be read: {error}",)
    if not sealing.opens(opening, data, Commitment(root, against.tasks)):
        return ("the published root does not hold it",)
    said = json_bounds.decode(data, dict[str, str | int], what="the task")
    template = templates.get(str(said.get("template")))
    if template is None or template.version != said.get("version"):
        return (f"template {said.get('template')} of that version is not here to make it anew",)
    seed = str(said.get("seed"))
    if not _is_seed(seed):
        return ("it has no seed",)
    again = content(Entry(opened.name, template, int(seed), str(said.get("twin", ""))))
    return () if again == data else ("the template makes another task of that seed",)


def unsealing(
    log: Sequence[Unsealing], task: Opened, *, by: str, second: str, reason: str, at: datetime
) -> Unsealing:
    """The next line of the log. Raises `InvalidError` without two people, or without a reason."""
    people = [each.strip() for each in (by, second)]
    if not all(people) or people[0].casefold() == people[1].casefold() or not reason.strip():
        raise InvalidError(
            "A task is opened by two people, and for a reason.",
            next_step="Name both, and why; the task counts as public afterwards.",
        )
    return Unsealing(
        at=at,
        by=people[0],
        number=len(log) + 1,
        previous=log[-1].hash if log else BEGINNING,
        reason=reason.strip(),
        root=task.root,
        second=people[1],
        task=task.name,
    )


def read_log(data: bytes) -> tuple[Unsealing, ...]:
    """The lines of an unsealing log. Raises `InvalidError` for one that is broken anywhere."""
    if len(data) > LARGEST:
        raise InvalidError(f"An unsealing log has at most {LARGEST} bytes.")
    found = tuple(
        json_bounds.decode(line, Unsealing, what="a line of the unsealing log")
        for line in data.splitlines()
    )
    before = BEGINNING
    for number, each in enumerate(found, 1):
        if each.number != number or each.previous != before:
            raise InvalidError(f"The unsealing log is broken at line {number}.")
        before = each.hash
    return found


def _is_seed(text: str) -> bool:
    """Whether this is a seed in decimal, written in the one way there is."""
    plain = text.isascii() and text.isdigit() and len(text) < _SEED_DIGITS
    return plain and int(text) < MOST_SEED and str(int(text)) == text


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
