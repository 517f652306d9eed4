"""What owners wish is kept by scanning, discovery and cases, from the moment they wish it."""

from __future__ import annotations

import base64
import json
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from clearhold.access.approvals import Act
from clearhold.access.grants import Grantee, Tier
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.assembly.hub import Hub
from clearhold.cases import records
from clearhold.cases.admission import Admission, admit
from clearhold.cases.model import ReportStep, Role
from clearhold.cases.views import CaseView
from clearhold.catalogue.model import Technique
from clearhold.findings.intake import Format
from clearhold.findings.model import State
from clearhold.kernel.errors import (
    ApprovalNeededError,
    ClearholdError,
    ConflictError,
    HeldError,
    InvalidError,
    NotFoundError,
)
from clearhold.kernel.ids import ApprovalId, CaseId, FindingId, VulnerabilityId
from clearhold.parties.contacts import Email
from clearhold.parties.wish import FULL, QUIET, Channel, EmbargoPolicy, QuietHours, Wishes
from clearhold.scanning.model import Mode, Versions, make_scope
from clearhold.scanning.model import State as LeaseState

Parties = Callable[..., Actor]
PACKAGE = "pkg:npm/%40quux/core"
HANDLE = "quux-team"


@pytest.fixture
def coordinator(party_of: Parties) -> Actor:
    return party_of(PartyKind.COORDINATOR)


@pytest.fixture
def maintainer(hub: Hub, party_of: Parties, coordinator: Actor) -> Actor:
    """The maintainer of everything under pkg:npm/%40quux/."""
    actor = party_of(PartyKind.MAINTAINER, HANDLE)
    hub.verification.confirm(coordinator, actor.party, "pkg:npm/%40quux/", reason="known")
    return actor


@pytest.fixture
def between(maintainer: Actor, coordinator: Actor) -> tuple[Actor, Actor]:
    """Who is reached, and who reaches them."""
    return maintainer, coordinator


@pytest.fixture
def later(clock: Any, engine: MemoryEngine) -> Callable[[timedelta], None]:
    """Lets time pass and whatever is due run."""

    def pass_(by: timedelta) -> None:
        clock.advance(by)
        engine.run_due()

    return pass_


@pytest.fixture
def open_case(
    hub: Hub, party_of: Parties, coordinator: Actor, engine: MemoryEngine, clock: Any
) -> Callable[[], CaseId]:
    """Opens a case about the package, of a finding of its own."""
    engine.register("on:finding.submitted", lambda _ids: None)
    lab = party_of(PartyKind.LAB)

    def make() -> CaseId:
        document = {
            "schema": "clearhold-finding/1",
            "package": f"{PACKAGE}@1.0.0",
            "title": f"Overflow {uuid.uuid4()}",
            "description": "A boundless copy.",
            "target": "encode",
            "claim": {"kind": "crash"},
            "proof": base64.b64encode(uuid.uuid4().bytes).decode(),
        }
        clock.advance(timedelta(seconds=1))
        receipt = hub.findings.submit(
            lab, json.dumps(document).encode(), form=Format.CLEARHOLD_JSON, key=uuid.uuid4().hex
        )
        finding = FindingId(receipt.findings[0].finding)
        with hub.sessions.transaction() as unit:
            hub.findings.set_verdict(
                unit, finding, state=State.REPRODUCED, verdict="reproduced", level=3
            )
        opened = hub.cases.open(
            coordinator, VulnerabilityId(finding), title="A title", key=uuid.uuid4().hex
        )
        return opened.id

    return make


def read_in(
    hub: Hub, coordinator: Actor, case: CaseId, handle: str = HANDLE, tier: int = 1
) -> CaseView:
    return hub.readers.read_in(
        coordinator, case, handle, role=Role.VENDOR, tier=tier, reason="maintains it"
    )


def person(hub: Hub, name: str) -> Actor:
    """A person of the hub's coordinator."""
    _, issued = hub.parties.found_hub(handle="hub", name="Hub", person=name, life=timedelta(days=9))
    return hub.authenticate(issued.secret)


def approve(hub: Hub, needed: ApprovalNeededError, by: Actor, second: Actor) -> None:
    """Propose exactly what was asked for, and let a second person approve it."""
    proposed = hub.approvals.propose(
        by,
        Act(str(needed.facts["act"])),
        str(needed.facts["subject"]),
        particulars=needed.facts["particulars"],  # type: ignore[arg-type]
        reason="it is needed",
    )
    hub.approvals.give(second, ApprovalId(proposed.id))


def vendors(hub: Hub, coordinator: Actor, case: CaseId) -> list[str]:
    shown = hub.cases.get(coordinator, case)
    return [each.name for each in shown.participants if each.role is Role.VENDOR]


def claim(hub: Hub, lab: Actor, package: str = PACKAGE) -> Any:
    scope = make_scope(
        package, versions=Versions(exact="1.0.0"), paths=(), technique=Technique.FUZZING
    )
    return hub.scanning.claim(
        lab,
        scope,
        mode=Mode.EXCLUSIVE,
        window=timedelta(hours=8),
        budget_s=60,
        key=uuid.uuid4().hex,
    )


def test_a_wish_needs_something_one_stands_for(
    hub: Hub, maintainer: Actor, party_of: Parties, clock: Any
) -> None:
    other = party_of(PartyKind.MAINTAINER)
    for party, subject in (
        (other, PACKAGE),
        (maintainer, "pkg:npm/%40quuxx/core"),
        (maintainer, "example.org"),
    ):
        with pytest.raises(ConflictError, match="does not stand"):
            hub.wishes.wish(party, subject, Wishes(do_not_scan=True))
    hub.wishes.wish(maintainer, PACKAGE, Wishes(do_not_scan=True))
    assert hub.wishes.list(other) == ()
    with pytest.raises(ConflictError, match="does not want it scanned"):
        claim(hub, other_lab := party_of(PartyKind.LAB))
    clock.advance(timedelta(days=365))  # what it rests on has expired
    assert claim(hub, other_lab)


def test_an_opted_out_package_is_neither_leased_nor_offered_and_its_leases_end(
    hub: Hub, maintainer: Actor, coordinator: Actor, party_of: Parties, engine: MemoryEngine
) -> None:
    lab, other = party_of(PartyKind.LAB), party_of(PartyKind.LAB)
    elsewhere = "pkg:npm/elsewhere"
    for package in (PACKAGE, elsewhere):
        hub.catalogue.add(
            coordinator, package, versions=("1.0.0",), techniques=(Technique.FUZZING,)
        )
    held, kept = claim(hub, lab), claim(hub, lab, elsewhere)
    with pytest.raises(ConflictError) as before:
        claim(hub, other, elsewhere)
    assert PACKAGE not in str(before.value.facts["free"])  # it is leased
    hub.scanning.release(lab, held.lease.id, fence=held.lease.fence)
    with pytest.raises(ConflictError) as offered:
        claim(hub, other, elsewhere)
    assert PACKAGE in str(offered.value.facts["free"])
    held = claim(hub, lab)

    hub.wishes.wish(maintainer, "pkg:npm/%40quux/", Wishes(do_not_scan=True))
    with pytest.raises(ConflictError, match="does not want it scanned"):  # no worker has run yet
        hub.scanning.heartbeat(lab, held.lease.id, fence=held.lease.fence)
    engine.run_due()
    assert hub.scanning.get(lab, held.lease.id).state is LeaseState.REVOKED
    assert hub.scanning.get(lab, kept.lease.id).state is LeaseState.GRANTED
    with pytest.raises(ConflictError) as refused:
        claim(hub, other)
    assert "does not want it scanned" in refused.value.message
    assert maintainer.party not in str(vars(refused.value))
    with pytest.raises(ConflictError) as after:
        claim(hub, other, elsewhere)
    assert PACKAGE not in str(after.value.facts["free"])

    hub.wishes.take_back(maintainer, "pkg:npm/%40quux/")
    engine.run_due()
    assert claim(hub, other)


def test_no_campaign_begins_on_an_opted_out_package(
    hub: Hub, maintainer: Actor, party_of: Parties, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = party_of(PartyKind.LAB)
    lease = claim(hub, lab).lease
    hub.wishes.wish(maintainer, PACKAGE, Wishes(do_not_scan=True))
    monkeypatch.setattr(hub.discovery._searcher, "targets", lambda _package, _engine: ("encode",))  # type: ignore[attr-defined]
    with pytest.raises(ConflictError, match="does not want it scanned"):
        hub.discovery.begin(
            lab,
            lease=lease.id,
            fence=lease.fence,
            package=f"{PACKAGE}@1.0.0",
            target="encode",
            seed=1,
            budget_s=10,
            key="k",
        )


def test_who_does_not_want_to_be_contacted_is_not_read_in(
    hub: Hub, maintainer: Actor, coordinator: Actor, open_case: Callable[[], CaseId]
) -> None:
    case = open_case()
    hub.wishes.wish(maintainer, PACKAGE, Wishes(do_not_contact=True))
    with pytest.raises(ConflictError, match="does not want to be contacted"):
        read_in(hub, coordinator, case)
    assert vendors(hub, coordinator, case) == []
    assert hub.cases.list(maintainer)[0] == ()


def test_another_vendor_is_not_bound_by_a_maintainers_wish_and_a_fellow_maintainer_is(
    hub: Hub,
    maintainer: Actor,
    coordinator: Actor,
    party_of: Parties,
    open_case: Callable[[], CaseId],
) -> None:
    case = open_case()
    hub.wishes.wish(maintainer, PACKAGE, Wishes(do_not_contact=True))
    party_of(PartyKind.VENDOR, "a-distribution")
    party_of(PartyKind.MAINTAINER, "a-fellow")
    read_in(hub, coordinator, case, "a-distribution")
    with pytest.raises(ConflictError, match="does not want to be contacted"):
        read_in(hub, coordinator, case, "a-fellow")


def test_quiet_hours_hold_a_case_until_they_are_over(
    hub: Hub,
    maintainer: Actor,
    coordinator: Actor,
    open_case: Callable[[], CaseId],
    later: Callable[[timedelta], None],
) -> None:
    case = open_case()
    night = QuietHours("Europe/Berlin", time(12), time(18))  # it is 14:00 there
    hub.wishes.wish(maintainer, PACKAGE, Wishes(quiet=(night,)))
    later(timedelta(0))
    with pytest.raises(HeldError, match=QUIET) as held:
        read_in(hub, coordinator, case)
    due = datetime(2026, 6, 5, 16, tzinfo=UTC)
    assert held.value.facts["due_at"] == due.isoformat()
    with pytest.raises(HeldError):
        read_in(hub, coordinator, case)  # noted once
    (waiting,) = hub.cases.get(coordinator, case).waiting
    assert (waiting.because, waiting.due_at) == (QUIET, due)
    later(timedelta(0))
    assert vendors(hub, coordinator, case) == []
    assert hub.cases.list(maintainer)[0] == ()
    later(due - hub.clock.now())
    assert vendors(hub, coordinator, case) == [HANDLE.title()]
    assert hub.cases.get(coordinator, case).waiting == ()
    assert hub.cases.get(maintainer, case)


def test_what_two_people_approved_is_held_with_their_approval_and_no_more_is_given(
    hub: Hub,
    maintainer: Actor,
    coordinator: Actor,
    open_case: Callable[[], CaseId],
    later: Callable[[timedelta], None],
) -> None:
    case = open_case()
    ada, bea = person(hub, "Ann"), person(hub, "Bea")
    hub.readers.read_in(
        coordinator, case, "hub", role=Role.COORDINATOR, tier=1, reason="r", member=ada.principal
    )
    night = QuietHours("Europe/Berlin", time(12), time(18))
    hub.wishes.wish(maintainer, PACKAGE, Wishes(quiet=(night,)))
    with pytest.raises(HeldError):
        read_in(hub, ada, case)
    with pytest.raises(ApprovalNeededError) as needed:
        read_in(hub, ada, case, tier=0)
    approve(hub, needed.value, ada, bea)
    with pytest.raises(HeldError):
        read_in(hub, ada, case, tier=0)
    with pytest.raises(ApprovalNeededError):
        read_in(hub, ada, case, tier=0)  # it was used up, and is kept with what waits
    later(timedelta(hours=5))
    (given,) = hub.readers.list(maintainer, case).readers
    assert (given.tier, given.approved_by) == (0, bea.principal)


def test_a_full_queue_moves_when_the_maintainer_closes_a_report(
    hub: Hub,
    maintainer: Actor,
    coordinator: Actor,
    open_case: Callable[[], CaseId],
    engine: MemoryEngine,
) -> None:
    first, second, third = open_case(), open_case(), open_case()
    hub.wishes.wish(maintainer, PACKAGE, Wishes(most_open=1))
    read_in(hub, coordinator, first)
    for case in (second, third):
        with pytest.raises(HeldError, match=FULL):
            read_in(hub, coordinator, case)
    read_in(hub, coordinator, first)  # renewing is no new contact
    for step in (ReportStep.INVALIDATE, ReportStep.CLOSE):
        hub.cases.step(maintainer, first, step)
    engine.run_due()
    assert vendors(hub, coordinator, second) == [HANDLE.title()]
    assert vendors(hub, coordinator, third) == []
    hub.cases.close(coordinator, second)
    engine.run_due()
    assert vendors(hub, coordinator, third) == [HANDLE.title()]


def test_what_waits_is_dropped_when_nobody_stands_behind_it_any_more(
    hub: Hub,
    maintainer: Actor,
    coordinator: Actor,
    open_case: Callable[[], CaseId],
    engine: MemoryEngine,
) -> None:
    first, second, third = open_case(), open_case(), open_case()
    hub.wishes.wish(maintainer, PACKAGE, Wishes(most_open=1))
    read_in(hub, coordinator, first)
    for case in (second, third):
        with pytest.raises(HeldError):
            read_in(hub, coordinator, case)
    hub.cases.close(coordinator, second)
    hub.wishes.wish(maintainer, PACKAGE, Wishes(do_not_contact=True))
    engine.run_due()
    hub.wishes.take_back(maintainer, PACKAGE)
    engine.run_due()
    assert hub.cases.get(coordinator, third).waiting == ()
    assert vendors(hub, coordinator, third) == []


def test_a_raised_cap_lets_in_who_waits(
    hub: Hub,
    maintainer: Actor,
    coordinator: Actor,
    open_case: Callable[[], CaseId],
    engine: MemoryEngine,
) -> None:
    first, second = open_case(), open_case()
    hub.wishes.wish(maintainer, PACKAGE, Wishes(most_weekly=1))
    read_in(hub, coordinator, first)
    with pytest.raises(HeldError, match=FULL):
        read_in(hub, coordinator, second)
    hub.wishes.wish(maintainer, PACKAGE, Wishes(most_weekly=2))
    engine.run_due()
    assert vendors(hub, coordinator, second) == [HANDLE.title()]


def test_a_weekly_cap_lets_the_next_in_by_itself_after_a_week(
    hub: Hub,
    maintainer: Actor,
    coordinator: Actor,
    open_case: Callable[[], CaseId],
    later: Callable[[timedelta], None],
) -> None:
    first, second = open_case(), open_case()
    hub.wishes.wish(maintainer, PACKAGE, Wishes(most_weekly=1))
    read_in(hub, coordinator, first)
    with pytest.raises(HeldError):
        read_in(hub, coordinator, second)
    later(timedelta(days=7))
    assert vendors(hub, coordinator, second) == [HANDLE.title()]


def test_a_cap_holds_although_many_ask_at_once(
    hub: Hub, maintainer: Actor, coordinator: Actor, open_case: Callable[[], CaseId]
) -> None:
    cases = [open_case() for _ in range(6)]
    hub.wishes.wish(maintainer, PACKAGE, Wishes(most_open=2))
    begin = threading.Barrier(len(cases))
    answers: list[object] = []

    def ask(case: CaseId) -> None:
        begin.wait()
        try:
            answers.append(read_in(hub, coordinator, case))
        except ClearholdError as error:
            answers.append(error)

    threads = [threading.Thread(target=ask, args=(case,)) for case in cases]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sum(isinstance(each, CaseView) for each in answers) == 2
    assert sum(isinstance(each, HeldError) for each in answers) == 4
    assert sum(bool(vendors(hub, coordinator, case)) for case in cases) == 2


def test_an_embargo_outside_a_vendors_policy_is_marked_or_refused(
    hub: Hub,
    maintainer: Actor,
    coordinator: Actor,
    open_case: Callable[[], CaseId],
    clock: Any,
) -> None:
    case = open_case()
    read_in(hub, coordinator, case)
    policy = EmbargoPolicy(shortest=14, longest=60, default=45)
    hub.wishes.wish(maintainer, PACKAGE, Wishes(embargo=policy))
    shown = hub.embargoes.propose(coordinator, case, until=clock.now() + timedelta(days=90))
    assert shown.proposal is not None
    assert shown.proposal.caution == "The vendor keeps a case quiet for at most 60 days."
    shown = hub.embargoes.propose(coordinator, case)
    assert shown.proposal is not None
    assert shown.proposal.until == clock.now() + timedelta(days=45)
    assert shown.proposal.caution is None
    firm = EmbargoPolicy(shortest=14, longest=60, default=45, firm=True)
    hub.wishes.wish(maintainer, PACKAGE, Wishes(embargo=firm))
    with pytest.raises(ConflictError, match="at least 14 days"):
        hub.embargoes.propose(coordinator, case, until=clock.now() + timedelta(days=7))
    own = hub.embargoes.propose(maintainer, case, until=clock.now() + timedelta(days=7))
    assert own.proposal is not None  # a vendor may change its mind


def test_contacts_of_a_case_are_those_whom_the_asker_knows_by_name(
    hub: Hub,
    maintainer: Actor,
    coordinator: Actor,
    party_of: Parties,
    open_case: Callable[[], CaseId],
) -> None:
    case = open_case()
    hub.contacts.write(
        maintainer, emails=(Email("security@quux.example"),), policy=None, languages=()
    )
    hub.wishes.wish(maintainer, PACKAGE, Wishes(channels=(Channel.EMAIL,)))
    read_in(hub, coordinator, case)
    shown = {each.role: each for each in hub.cases.contacts(coordinator, case)}
    assert set(shown) == {Role.COORDINATOR, Role.VENDOR, Role.FINDER}
    assert shown[Role.VENDOR].routes.emails == (Email("security@quux.example"),)
    assert shown[Role.VENDOR].prefers == (Channel.EMAIL,)
    with pytest.raises(NotFoundError):
        hub.cases.contacts(party_of(PartyKind.MAINTAINER), case)


@pytest.mark.parametrize("gone", ["recused", "approver recused", "read out", "let in otherwise"])
def test_what_was_held_is_given_only_while_it_still_stands(
    hub: Hub,
    between: tuple[Actor, Actor],
    open_case: Callable[[], CaseId],
    later: Callable[[timedelta], None],
    gone: str,
) -> None:
    maintainer, coordinator = between
    ann, bea = person(hub, "Ann"), person(hub, "Bea")
    case, other = open_case(), open_case()
    for each in (case, other):
        hub.readers.read_in(
            coordinator,
            each,
            "hub",
            role=Role.COORDINATOR,
            tier=1,
            reason="r",
            member=ann.principal,
        )
    hub.wishes.wish(
        maintainer, PACKAGE, Wishes(quiet=(QuietHours("Europe/Berlin", time(12), time(18)),))
    )
    with pytest.raises(ApprovalNeededError) as needed:
        read_in(hub, ann, case, tier=0)
    approve(hub, needed.value, ann, bea)
    for each, tier in ((case, 0), (other, 1)):
        with pytest.raises(HeldError):
            read_in(hub, ann, each, tier=tier)
    if gone == "recused":
        hub.readers.recuse(ann, case, reason="r")
    elif gone == "approver recused":
        hub.readers.recuse(coordinator, case, reason="r", person=bea.person)
    elif gone == "read out":
        hub.readers.read_out(ann, case, HANDLE)
        assert hub.cases.get(coordinator, case).waiting == ()
    else:
        with hub.sessions.transaction() as unit:
            held = records.held(unit, case)
            assert held is not None
            admit(
                unit,
                held,
                Admission(Grantee(maintainer.party), Role.OTHER, Tier.NOTICE, "r"),
                by=ann.principal,
            )
    later(timedelta(hours=5))
    assert vendors(hub, coordinator, case) == []
    assert vendors(hub, coordinator, other) == [
        HANDLE.title()
    ]  # one that is dropped stops no other
    assert hub.cases.get(coordinator, case).waiting == ()


def test_how_full_somebody_is_and_since_when_is_told_to_nobody(
    hub: Hub, maintainer: Actor, coordinator: Actor, open_case: Callable[[], CaseId]
) -> None:
    hub.wishes.wish(maintainer, PACKAGE, Wishes(most_weekly=1))
    read_in(hub, coordinator, open_case())
    case = open_case()
    with pytest.raises(HeldError) as held:
        read_in(hub, coordinator, case)
    assert held.value.facts == {"held": FULL, "due_at": None}
    (waiting,) = hub.cases.get(coordinator, case).waiting
    assert (waiting.because, waiting.due_at) == (FULL, None)


def test_another_spelling_of_a_project_is_the_same_project(
    hub: Hub, party_of: Parties, coordinator: Actor
) -> None:
    owner = party_of(PartyKind.MAINTAINER)
    hub.verification.confirm(coordinator, owner.party, "pkg:pypi/foo-bar", reason="known")
    hub.wishes.wish(owner, "pkg:pypi/foo-bar", Wishes(do_not_scan=True))
    lab = party_of(PartyKind.LAB)
    for spelling in ("pkg:pypi/Foo_Bar", "pkg:pypi/foo.bar", "pkg:pypi/foo--bar"):
        with pytest.raises(ConflictError, match="does not want it scanned"):
            claim(hub, lab, spelling)
    with pytest.raises(InvalidError):
        claim(hub, lab, "pkg:pypi/x/foo-bar")
