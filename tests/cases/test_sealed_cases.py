"""What is lodged sealed is the named parties' alone, and the hub cannot read it."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyrage
import pytest
from sqlalchemy import Engine, event

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.cases.sealed import MOST_LETTERS, Addressee, SealedCaseView
from clearhold.delivery.http.app import make_app
from clearhold.kernel.errors import (
    ConflictError,
    DeniedError,
    InvalidError,
    NotFoundError,
)
from clearhold.kernel.ids import CompartmentId, SealedCaseId
from clearhold.ledger.records import leaves
from clearhold.store.all_tables import metadata
from clearhold.wire import age
from clearhold.wire.letter import Letter
from in_process_http import client_of

SECRET = b"canary-quuxlib-overflow " * 20


@dataclasses.dataclass
class Member:
    """A party with an age identity of its own."""

    actor: Actor
    handle: str
    identity: pyrage.x25519.Identity

    @property
    def recipient(self) -> str:
        return str(self.identity.to_public())

    @property
    def address(self) -> Addressee:
        return Addressee(self.handle, age.fingerprint(self.recipient))


@pytest.fixture
def member(hub: Hub, party_of: Callable[..., Actor]) -> Callable[..., Member]:
    def make(kind: PartyKind, handle: str, *, findable: bool = True) -> Member:
        made = Member(party_of(kind, handle), handle, pyrage.x25519.Identity.generate())
        hub.recipients.add(made.actor, made.recipient, findable=findable)
        return made

    return make


@pytest.fixture
def lab(member: Callable[..., Member]) -> Member:
    return member(PartyKind.LAB, "lab-one", findable=False)


@pytest.fixture
def vendor(member: Callable[..., Member]) -> Member:
    return member(PartyKind.MAINTAINER, "vendor-one")


@pytest.fixture
def other(member: Callable[..., Member]) -> Member:
    return member(PartyKind.COORDINATOR, "other-one")


def sealed(*to: Member, content: bytes = SECRET) -> bytes:
    letter = Letter("report.txt", content).to_bytes()
    return pyrage.encrypt(letter, [each.identity.to_public() for each in to])


def lodge(hub: Hub, sender: Member, *to: Member, key: str = "k") -> SealedCaseView:
    return hub.sealed_cases.lodge(sender.actor, sealed(*to), [each.address for each in to], key=key)


def test_a_lodged_case_reaches_the_named_party_and_opens_with_its_identity_alone(
    hub: Hub, lab: Member, vendor: Member
) -> None:
    case = lodge(hub, lab, vendor)
    [shown] = hub.sealed_cases.list(vendor.actor)
    assert shown == case == hub.sealed_cases.get(vendor.actor, case.id)
    assert (shown.lodged_by, shown.letters[0].readers) == ("lab-one", ("lab-one", "vendor-one"))
    fetched = hub.sealed_cases.fetch(vendor.actor, case.id, shown.letters[0].id)
    opened = Letter.from_bytes(pyrage.decrypt(fetched, [vendor.identity]))
    assert (opened.name, opened.content) == ("report.txt", SECRET)
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(fetched, [lab.identity])


def test_to_everybody_else_a_sealed_case_is_as_if_it_were_not_there(
    hub: Hub, lab: Member, vendor: Member, other: Member
) -> None:
    case = lodge(hub, lab, vendor)
    letter = case.letters[0].id
    absent = SealedCaseId("0" * 36)
    assert hub.sealed_cases.list(other.actor) == ()
    told = []
    for asked in (case.id, absent):
        for call in (
            lambda asked=asked: hub.sealed_cases.get(other.actor, asked),
            lambda asked=asked: hub.sealed_cases.fetch(other.actor, asked, letter),
            lambda asked=asked: hub.sealed_cases.reply(
                other.actor, asked, sealed(vendor), [vendor.address], key="r"
            ),
        ):
            with pytest.raises(NotFoundError) as raised:
                call()
            told.append((raised.value.message, raised.value.next_step))
    assert len(set(told)) == 1
    with pytest.raises(NotFoundError):
        hub.sealed_cases.fetch(vendor.actor, case.id, "no-such-letter")


def test_a_letter_to_one_member_is_not_shown_to_another(
    hub: Hub, lab: Member, vendor: Member, other: Member
) -> None:
    case = lodge(hub, lab, vendor, other)
    hub.sealed_cases.reply(lab.actor, case.id, sealed(vendor), [vendor.address], key="r")
    counts = {
        each.handle: len(hub.sealed_cases.get(each.actor, case.id).letters)
        for each in (lab, vendor, other)
    }
    assert counts == {"lab-one": 2, "vendor-one": 2, "other-one": 1}
    shown = {each.id for each in hub.sealed_cases.get(other.actor, case.id).letters}
    [hidden] = {each.id for each in hub.sealed_cases.get(lab.actor, case.id).letters} - shown
    with pytest.raises(NotFoundError):
        hub.sealed_cases.fetch(other.actor, case.id, hidden)


def test_a_member_answers_and_nobody_new_comes_in_by_an_answer(
    hub: Hub, lab: Member, vendor: Member, other: Member
) -> None:
    case = lodge(hub, lab, vendor)
    hub.recipients.add(lab.actor, lab.recipient, findable=True)
    answer = sealed(lab, content=b"thank you")
    after = hub.sealed_cases.reply(vendor.actor, case.id, answer, [lab.address], key="r")
    [theirs] = [each for each in after.letters if each.written_by == "vendor-one"]
    got = hub.sealed_cases.fetch(lab.actor, case.id, theirs.id)
    assert Letter.from_bytes(pyrage.decrypt(got, [lab.identity])).content == b"thank you"
    with pytest.raises(NotFoundError):
        hub.sealed_cases.reply(
            vendor.actor, case.id, sealed(lab, other), [lab.address, other.address], key="s"
        )
    assert hub.sealed_cases.list(other.actor) == ()


def test_what_is_lodged_twice_under_one_key_is_lodged_once(
    hub: Hub, lab: Member, vendor: Member
) -> None:
    letter = sealed(vendor)
    first = hub.sealed_cases.lodge(lab.actor, letter, [vendor.address], key="k")
    assert hub.sealed_cases.lodge(lab.actor, letter, [vendor.address], key="k") == first
    with pytest.raises(ConflictError):
        hub.sealed_cases.lodge(lab.actor, sealed(vendor), [vendor.address], key="k")
    again = [
        hub.sealed_cases.reply(lab.actor, first.id, letter, [vendor.address], key="r")
        for _ in range(2)
    ]
    assert again[0] == again[1]
    assert len(again[0].letters) == 2
    with pytest.raises(ConflictError):
        hub.sealed_cases.reply(lab.actor, first.id, sealed(vendor), [vendor.address], key="r")


def test_stanzas_and_named_recipients_must_be_the_same_number(
    hub: Hub, lab: Member, vendor: Member, other: Member
) -> None:
    for letter, to in (
        (sealed(vendor, other), [vendor.address]),
        (sealed(vendor), [vendor.address, other.address]),
        (sealed(vendor, vendor), [vendor.address, vendor.address]),
        (sealed(vendor), []),
    ):
        with pytest.raises(InvalidError, match="stanza"):
            hub.sealed_cases.lodge(lab.actor, letter, to, key="k")


def test_what_is_not_padded_or_not_age_is_refused(hub: Hub, lab: Member, vendor: Member) -> None:
    unpadded = pyrage.encrypt(SECRET, [vendor.identity.to_public()])
    with pytest.raises(InvalidError, match="padded"):
        hub.sealed_cases.lodge(lab.actor, unpadded, [vendor.address], key="k")
    with pytest.raises(InvalidError, match="age file"):
        hub.sealed_cases.lodge(lab.actor, SECRET, [vendor.address], key="k")
    with pytest.raises(InvalidError, match="X25519"):
        hub.sealed_cases.lodge(
            lab.actor, pyrage.passphrase.encrypt(SECRET, "p"), [vendor.address], key="k"
        )


def test_a_recipient_that_is_hidden_withdrawn_or_somebody_elses_is_one_and_the_same_absence(
    hub: Hub, lab: Member, vendor: Member, member: Callable[..., Member]
) -> None:
    hidden = member(PartyKind.OPERATOR, "hidden-one", findable=False)
    gone = member(PartyKind.OPERATOR, "gone-one")
    hub.recipients.withdraw(gone.actor, gone.address.fingerprint)
    told = set()
    for address in (
        hidden.address,
        gone.address,
        Addressee("nobody-at-all", vendor.address.fingerprint),
        Addressee("vendor-one", "0000"),
    ):
        with pytest.raises(NotFoundError) as raised:
            hub.sealed_cases.lodge(lab.actor, sealed(vendor), [address], key="k")
        told.add(raised.value.message)
        if address.party != "vendor-one":
            with pytest.raises(NotFoundError) as raised:
                hub.recipients.of(lab.actor, address.party)
            told.add(raised.value.message)
    assert len(told) == 1


def test_every_letter_handed_out_is_in_the_ledger(hub: Hub, lab: Member, vendor: Member) -> None:
    case = lodge(hub, lab, vendor)
    for reader in (vendor, lab):
        hub.sealed_cases.fetch(reader.actor, case.id, case.letters[0].id)
    with hub.sessions.transaction() as unit:
        told = [
            (leaf.action, leaf.actor)
            for leaf in leaves(unit.connection)
            if leaf.action in {"cases:sealed:fetch", "vault:plaintext:release"}
        ]
    assert told == [
        (action, reader.actor.principal)
        for reader in (vendor, lab)
        for action in ("vault:plaintext:release", "cases:sealed:fetch")
    ]


def test_the_hub_holds_no_key_that_opens_a_letter(
    hub: Hub, lab: Member, vendor: Member, database: Engine, tmp_path: Path
) -> None:
    """All that the hub has, its ring included, gives the age file and no more."""
    lodge(hub, lab, vendor)
    rows = []
    with database.connect() as connection:
        for table in metadata.sorted_tables:
            rows += [repr(tuple(row)) for row in connection.execute(table.select())]
    held = "\n".join(rows).encode()
    held += b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for told in (SECRET[:12], base64.b64encode(SECRET)[4:24], str(vendor.identity).encode()):
        assert told not in held
    assert b"age-encryption.org" not in held


def test_lists_cost_the_same_however_many_cases_there_are(
    hub: Hub, lab: Member, vendor: Member, database: Engine
) -> None:
    sent: list[str] = []
    event.listen(database, "before_cursor_execute", lambda *told: sent.append(told[2]))

    def cost() -> int:
        sent.clear()
        hub.sealed_cases.list(vendor.actor)
        return len(sent)

    lodge(hub, lab, vendor, key="0")
    first = cost()
    for number in range(1, 4):
        lodge(hub, lab, vendor, key=str(number))
    assert cost() == first


def test_a_sealed_case_holds_a_bounded_number_of_letters(
    hub: Hub, lab: Member, vendor: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_LETTERS == 1000
    monkeypatch.setattr("clearhold.cases.sealed.MOST_LETTERS", 1)
    case = lodge(hub, lab, vendor)
    with pytest.raises(ConflictError, match="at most 1 letters"):
        hub.sealed_cases.reply(lab.actor, case.id, sealed(vendor), [vendor.address], key="r")


def test_sealed_cases_are_reached_over_http(hub: Hub, lab: Member, vendor: Member) -> None:
    app = make_app(hub)
    with hub.sessions.transaction() as unit:
        issued = {
            each.handle: hub.tokens.issue(
                unit, each.actor.principal, life=timedelta(days=1), by="test"
            ).secret
            for each in (lab, vendor)
        }
    clients = {
        handle: client_of(app, {"Authorization": f"Bearer {secret}", "Idempotency-Key": "k"})
        for handle, secret in issued.items()
    }
    body = {
        "ciphertext": base64.b64encode(sealed(vendor)).decode(),
        "to": [{"party": "vendor-one", "fingerprint": vendor.address.fingerprint}],
    }
    made = clients["lab-one"].post("/api/v1/cases/sealed", json=body)
    assert made.status_code == 201, made.text
    case = made.json()
    assert clients["vendor-one"].get("/api/v1/cases/sealed").json() == [case]
    assert clients["vendor-one"].get(f"/api/v1/cases/sealed/{case['id']}").json() == case
    letter = case["letters"][0]["id"]
    got = clients["vendor-one"].get(f"/api/v1/cases/sealed/{case['id']}/letters/{letter}")
    assert Letter.from_bytes(pyrage.decrypt(got.content, [vendor.identity])).content == SECRET
    bad = clients["lab-one"].post("/api/v1/cases/sealed", json=body | {"ciphertext": "%"})
    assert (bad.status_code, bad.json()["code"]) == (422, "invalid")


def test_who_may_not_lodge_is_told_so(hub: Hub, lab: Member, vendor: Member) -> None:
    bare = dataclasses.replace(lab.actor, permissions=frozenset())
    for call in (
        lambda: hub.sealed_cases.lodge(bare, sealed(vendor), [vendor.address], key="k"),
        lambda: hub.sealed_cases.list(bare),
    ):
        with pytest.raises(DeniedError):
            call()


def test_a_sealed_case_can_be_expunged_like_any_compartment(
    hub: Hub, lab: Member, vendor: Member
) -> None:
    case = lodge(hub, lab, vendor)
    with hub.sessions.transaction() as unit:
        table = metadata.tables["sealed_case"]
        within = unit.connection.execute(table.select()).one().compartment
        hub.keeping.begin_expunging(unit, [CompartmentId(within)], by="two people")
    hub.keeping.finish()
    with pytest.raises(Exception, match="expunged"):
        hub.sealed_cases.fetch(vendor.actor, case.id, case.letters[0].id)
