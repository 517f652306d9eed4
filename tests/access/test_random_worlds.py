"""In worlds made at random, no endpoint disagrees with a second, plain account of who may see what.

The account below knows nothing of the application's queries: it keeps what was done, step by step,
and decides by going through it all again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from access_scene import Stage, staged
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from clearhold.access.permissions import PartyKind
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.assembly.hub import Hub
from clearhold.cases.model import Role
from clearhold.kernel.errors import ConflictError, InvalidError, NotFoundError
from clearhold.parties import terms

ABSENT = "00000000-0000-7000-8000-000000000000"
READERS = {
    "vendor": (PartyKind.MAINTAINER, Role.VENDOR),
    "maker": (PartyKind.VENDOR, Role.VENDOR),
    "plant": (PartyKind.OPERATOR, Role.DEPLOYER),
    "works": (PartyKind.OPERATOR, Role.DEPLOYER),
    "desk": (PartyKind.GOVERNMENT, Role.OTHER),
}
MEMBERS = {"mia": "vendor", "max": "vendor", "pia": "plant", "kim": "lab"}
LABS = ("lab", "den")
EVERYBODY = ("ada", "linus", *LABS, *READERS, *MEMBERS)


@dataclass
class Given:
    """One reading in: of whom, how much, until when."""

    case: str
    who: str
    tier: int
    until: datetime | None


@dataclass
class Account:
    """What was done, and what follows from it for one who asks."""

    party: dict[str, str]
    cases: dict[str, list[str]] = field(default_factory=dict)
    owner: dict[str, str] = field(default_factory=dict)
    given: list[Given] = field(default_factory=list)
    barred: set[tuple[str, str]] = field(default_factory=set)
    paused: set[str] = field(default_factory=set)

    def let_in(self, case: str, who: str, tier: int, until: datetime | None) -> None:
        self.given = [each for each in self.given if (each.case, each.who) != (case, who)]
        self.given.append(Given(case, who, tier, until))

    def let_out(self, case: str, who: str) -> None:
        whole = who not in MEMBERS
        self.given = [
            each
            for each in self.given
            if each.case != case
            or not (each.who == who or (whole and self.party.get(each.who) == self.party[who]))
        ]

    def tier(self, case: str, asking: str, now: datetime) -> int:
        """0 to 3, and 4 for nothing at all."""
        if (case, asking) in self.barred:
            return 4
        best = 4
        for each in self.given:
            for_me = each.who == asking or (
                each.who not in {"ada", "linus", *MEMBERS}
                and self.party[each.who] == self.party[asking]
            )
            if each.case == case and for_me and (each.until is None or each.until > now):
                best = min(best, each.tier)
        if any(self.owner[one] == self.party[asking] for one in self.cases[case]):
            best = min(best, 1)
        return best

    def content(self, finding: str, asking: str, now: datetime, most: int) -> bool:
        """Whether a finding is shown, with `most` 0 its proof and raw submission too."""
        for case, linked in self.cases.items():
            if finding not in linked:
                continue
            if (case, asking) in self.barred:
                return False
            if self.owner[finding] == self.party[asking]:
                return True
            if self.party[asking] in LABS or self.party[asking] in {"plant", "works", "desk"}:
                return False
            return self.tier(case, asking, now) <= most
        return self.owner[finding] == self.party[asking]


def build(stage: Stage, dice: random.Random, steps: int) -> Account:
    for lab in LABS:
        stage.party(lab, PartyKind.LAB)
    for name, (kind, _) in READERS.items():
        stage.party(name, kind, "energy" if kind is PartyKind.OPERATOR else None)
    for name, of in MEMBERS.items():
        stage.member(name, of)
    account = Account(
        {"ada": "hub", "linus": "hub", **{name: name for name in (*LABS, *READERS)}, **MEMBERS}
    )
    for number in range(3):
        lab = dice.choice(LABS)
        finding = stage.submit(lab, f"Flaw {number}")
        account.owner[finding] = lab
        if number < 2:
            other = stage.submit(LABS[0], f"Flaw {number} again")
            account.owner[other] = LABS[0]
            stage.same(finding, other)
            case = stage.open("ada", finding, f"Case {number}")
            account.cases[case] = [finding, other]
            account.let_in(case, "ada", 0, None)
            stage.hub.cases.say(stage.actors["ada"], case, f"Words {number}", key=str(number))
    for _ in range(steps):
        step(stage, account, dice)
    return account


def step(stage: Stage, account: Account, dice: random.Random) -> None:
    case = dice.choice(list(account.cases))
    who = dice.choice([*READERS, *(name for name, of in MEMBERS.items() if of in READERS)])
    kind = dice.choice(["in", "in", "in", "brief", "out", "recuse", "wait", "pause", "pause"])
    handle = stage.handles[who]
    member = stage.actors[who].principal if who in MEMBERS else None
    if kind in {"in", "brief"}:
        tier = dice.randrange(4)
        until = stage.clock.now() + timedelta(hours=1) if kind == "brief" else None
        stage.read_in(
            case,  # type: ignore[arg-type]
            who,
            READERS[account.party[who]][1],
            tier,
            member=member,
            expires_at=until,
        )
        account.let_in(case, who, tier, until)
    elif kind == "out":
        try:
            stage.hub.readers.read_out(stage.actors["ada"], case, handle, member=member)  # type: ignore[arg-type]
        except NotFoundError:
            return
        account.let_out(case, who)
    elif kind == "recuse":
        who = dice.choice([*MEMBERS, "linus"])
        person = stage.actors[who].person
        stage.hub.readers.recuse(stage.actors["ada"], case, reason="r", person=person)  # type: ignore[arg-type]
        account.barred.add((case, who))
    elif kind == "pause":
        party = dice.choice([*LABS, *READERS])
        paused = party in account.paused
        stage.act(party, terms.Act.RESUME if paused else terms.Act.SUSPEND)
        account.paused ^= {party}
    else:
        stage.clock.advance(timedelta(minutes=61))


def told(stage: Stage, who: str, path: str) -> tuple[int, Any]:
    answer = stage.ask(who, "GET", f"/api/v1{path}")
    kind = answer.headers["content-type"]
    return answer.status_code, answer.json() if "json" in kind else answer.content


def compare_paused(stage: Stage, account: Account, who: str) -> None:
    """Without an agreement nobody is told of a case; a lab keeps reading what is its own."""
    own = account.party[who]
    for case in account.cases:
        for path in ("/cases", "/cases/{}", "/cases/{}/messages", "/patches?case={}"):
            refused = told(stage, who, path.format(case))
            assert refused[0] == 403
            assert refused == told(stage, who, path.format(ABSENT))
    mine = {
        one
        for one, owner in account.owner.items()
        if owner == own and account.content(one, who, stage.clock.now(), 1)
    }
    status, listed = told(stage, who, "/findings")
    assert (status == 200) == (own in LABS)
    assert own not in LABS or {each["id"] for each in listed} == mine
    for one in account.owner:
        for path in ("/findings/{}", "/findings/{}/proof"):
            answer = told(stage, who, path.format(one))
            assert (answer[0] == 200) == (own in LABS and one in mine)
            assert answer[0] == 200 or answer == told(stage, who, path.format(ABSENT))
    _, leaves = told(stage, who, "/ledger/leaves?limit=1000")
    seen = {each["subject"] for each in leaves}
    assert not seen & account.cases.keys()
    assert not seen & (account.owner.keys() - (mine if own in LABS else set()))


def compare(stage: Stage, account: Account, who: str) -> None:  # noqa: C901
    now = stage.clock.now()
    absent = {
        path: told(stage, who, path.format(ABSENT))
        for path in ("/cases/{}", "/cases/{}/messages", "/findings/{}", "/findings/{}/proof")
    }

    def check(path: str, identity: str, *, shown: bool) -> Any:
        answer = told(stage, who, path.format(identity))
        assert (answer != absent[path]) == shown, (who, path, identity, answer)
        assert shown == (answer[0] == 200), (who, path, answer)
        return answer[1]

    visible = {case: account.tier(case, who, now) for case in account.cases}
    page, seen = "", []
    while True:
        _, body = told(stage, who, f"/cases?limit=1&cursor={page}")
        seen += [each["id"] for each in body["cases"]]
        page = body["next"] or ""
        if not page:
            break
    assert seen == sorted((case for case, tier in visible.items() if tier < 4), reverse=True)
    for case, tier in visible.items():
        view = check("/cases/{}", case, shown=tier < 4)
        check("/cases/{}/messages", case, shown=tier <= 1)
        if tier < 4:
            assert view["tier"] == tier
            assert (view["title"] is not None) == (tier <= 2)
            for finding in view["findings"]:
                assert account.content(finding, who, now, 1)
        _, hung = told(stage, who, f"/patches?case={case}")
        assert hung == [] or isinstance(hung, dict)
    findings = {one for one in account.owner if account.content(one, who, now, 1)}
    status, listed = told(stage, who, "/findings")
    if status == 403:
        findings = set()
    else:
        assert {each["id"] for each in listed} == findings
        for one in account.owner:
            shown = one in findings
            check("/findings/{}", one, shown=shown)
            check("/findings/{}/proof", one, shown=account.content(one, who, now, 0))
    _, leaves = told(stage, who, "/ledger/leaves?limit=1000")
    told_of = {each["subject"] for each in leaves}
    for case, tier in visible.items():
        assert tier <= 1 or case not in told_of
    for one in account.owner:
        assert one in findings or one not in told_of


@settings(
    max_examples=3,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # a world takes seconds: no smaller one is sought
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32), steps=st.integers(4, 14))
def test_no_endpoint_disagrees_with_a_second_account_of_who_may_see_what(
    hub: Hub, engine: MemoryEngine, clock: Any, seed: int, steps: int
) -> None:
    stage = staged(hub, engine, clock)
    account = build(stage, random.Random(seed), steps)  # noqa: S311
    for who in EVERYBODY:
        ask = compare_paused if account.party[who] in account.paused else compare
        ask(stage, account, who)


def test_a_key_or_cursor_of_somebody_else_is_as_good_as_made_up(stage: Stage, case: Any) -> None:
    body = {"text": "hello"}
    headers = {"Authorization": f"Bearer {stage.tokens['lab']}", "Idempotency-Key": "mine"}
    from in_process_http import client_of  # noqa: PLC0415  # the client keeps its headers

    stage.ask("lab", "GET", "/api/v1/cases")
    assert stage.app is not None
    with client_of(stage.app, headers) as client:
        first = client.post(f"/api/v1/cases/{case}/messages", json=body)
    assert first.status_code == 201
    headers["Authorization"] = f"Bearer {stage.tokens['finder']}"
    with client_of(stage.app, headers) as client:
        other = client.post(f"/api/v1/cases/{case}/messages", json={"text": "another"})
    assert other.status_code == 201
    stage.submit("lab", "More")
    with pytest.raises((InvalidError, ConflictError)):
        stage.hub.cases.list(stage.actors["finder"], cursor="AAAA")
