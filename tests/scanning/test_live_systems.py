"""Live systems are touched only under their owner's signed consent, and stopped at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from live_scene import LiveScene

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.catalogue.model import Technique
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    DeniedError,
    InvalidError,
    LimitError,
    NotFoundError,
)
from clearhold.parties.terms import Act
from clearhold.parties.wish import Wishes
from clearhold.scanning.live_leases import ANSWERS_A_DAY, REFUSALS_A_DAY
from clearhold.scanning.live_scope import Depth, make_live_scope
from clearhold.scanning.model import Mode, State
from clearhold.wire import dsse, scan_consent
from clearhold.wire.scan_passport import read_keys, read_passport, read_status

SHOP = "https://shop.water.example/"
ADDRESS = "host:203.0.113.9:443"


@pytest.fixture
def scene(hub: Hub, party_of: Callable[..., Actor]) -> LiveScene:
    return LiveScene(hub, party_of)


def _refused(scene: LiveScene, lab: Actor, *targets: str, **asked: object) -> ConflictError:
    with pytest.raises(ConflictError) as refused:
        scene.claim(lab, *targets, **asked)  # type: ignore[arg-type]
    return refused.value


def test_without_consent_there_is_no_live_lease(scene: LiveScene) -> None:
    """Whatever is missing of target, technique, depth, time or holder, the answer is one."""
    lab, named = scene.lab("lab"), scene.lab("named")
    nothing = _refused(scene, lab, SHOP)
    scene.allow(holders=("named",))
    answers = [
        nothing,
        _refused(scene, lab, SHOP),
        _refused(scene, named, SHOP, "host:elsewhere.example"),
        _refused(scene, named, "network:203.0.112.0/23"),
        _refused(scene, named, SHOP, technique=Technique.CREDENTIALED),
        _refused(scene, named, SHOP, depth=Depth.PROOF),
        _refused(scene, named, "host:198.51.100.1"),
        _refused(scene, named, "site:water/south"),
    ]
    told = {(each.message, each.next_step, str(each.facts)) for each in answers}
    assert len(told) == 1
    assert scene.claim(named, SHOP, ADDRESS, "site:water/north/control").state is State.GRANTED


def test_consent_counts_only_within_its_time(scene: LiveScene, clock: object) -> None:
    """A lease never outlasts the consent it stands on."""
    now = scene.hub.clock.now()
    scene.allow(not_before=now + timedelta(hours=1), until=now + timedelta(hours=3))
    lab = scene.lab("lab")
    _refused(scene, lab, SHOP)
    clock.advance(timedelta(hours=1))  # type: ignore[attr-defined]
    held = scene.claim(lab, SHOP, hours=40)
    assert held.lease.window_ends_at == now + timedelta(hours=3)
    clock.advance(timedelta(hours=2))  # type: ignore[attr-defined]
    _refused(scene, lab, SHOP)


def test_consent_is_the_owners_own_and_signed(scene: LiveScene) -> None:
    """Another's key, another's name, an altered statement or what one does not own is refused."""
    owner, lodge = scene.owner, scene.hub.live.authorisations.lodge
    for envelope in (
        dsse.sign(
            scan_consent.write(scene.consent()),
            scan_consent.PAYLOAD_TYPE,
            Ed25519PrivateKey.generate(),
        ),
        dsse.sign(scan_consent.write(scene.consent()), "text/plain", scene.key),
        scene.envelope(party="somebody"),
        scene.envelope(techniques=("fuzzing",)),
        scene.envelope(techniques=()),
        scene.envelope(targets=()),
        scene.envelope(concurrency=0),
        scene.envelope(requests_per_second=0),
        scene.envelope(holders=()),
        scene.envelope(contact="a\nb"),
        scene.envelope(until=scene.hub.clock.now()),
        scene.envelope(blackouts=("weekly mon 09:00-10:00 Mars/Olympus",)),
        b"{}",
        b"",
    ):
        with pytest.raises(InvalidError):
            lodge(owner, envelope)
    for target in ("domain:*.example", "domain:other.example", "host:203.0.112.9", "site:lab/x"):
        with pytest.raises((ConflictError, InvalidError)):
            scene.allow(targets=(target,))
    lab = scene.lab("lab")
    with pytest.raises(InvalidError):
        lodge(lab, scene.envelope())
    same = scene.envelope()
    assert lodge(owner, same) == lodge(owner, same)


def test_who_no_longer_stands_for_a_system_consents_no_more(scene: LiveScene) -> None:
    """A lease ends at its next heartbeat, and its passports with it."""
    scene.allow()
    lab = scene.lab("lab")
    held = scene.claim(lab, SHOP)
    scene.hub.verification.end(scene.owner, "domain:water.example")
    _refused(scene, scene.lab("other"), SHOP)
    with pytest.raises(ConflictError):
        scene.passport(lab, held)
    with pytest.raises(ConflictError):
        scene.beat(lab, held)
    assert scene.hub.live.leases.get(lab, held.lease.id).state is State.REVOKED


def test_a_wish_not_to_be_scanned_goes_before_any_consent(scene: LiveScene) -> None:
    scene.allow()
    scene.hub.wishes.wish(scene.owner, "water.example", Wishes(do_not_scan=True))
    _refused(scene, scene.lab("lab"), SHOP)
    scene.claim(scene.lab("other"), ADDRESS)


def test_a_blackout_ends_leases_and_keeps_others_from_beginning(
    scene: LiveScene, clock: object
) -> None:
    """The clock stands at Friday noon in UTC, which is 14:00 in Berlin."""
    scene.allow(blackouts=("weekly fri 16:00-18:00 Europe/Berlin",))
    lab = scene.lab("lab")
    start = scene.hub.clock.now()
    held = scene.claim(lab, SHOP, hours=12)
    assert held.lease.window_ends_at == start + timedelta(hours=2)
    issued = scene.passport(lab, held, life=timedelta(hours=4))
    assert issued.expires_at == held.lease.window_ends_at
    clock.advance(timedelta(hours=2))  # type: ignore[attr-defined]
    told = _refused(scene, lab, SHOP)
    assert told.facts == {"until": (start + timedelta(hours=4)).isoformat()}
    clock.advance(timedelta(hours=2))  # type: ignore[attr-defined]
    scene.claim(lab, SHOP)


def test_leases_on_live_systems_hold_each_other_off(scene: LiveScene) -> None:
    """Whatever the technique; the answer names no target."""
    scene.allow()
    one, two = scene.lab("one"), scene.lab("two")
    scene.claim(one, "domain:*.water.example")
    told = _refused(scene, two, SHOP, ADDRESS, technique=Technique.LIVE_PROBING)
    assert "taken" not in told.facts
    assert told.facts["own_leases"] == []
    assert "water.example" not in str(told.facts).replace(SHOP, "")
    scene.claim(two, SHOP, mode=Mode.NOTIFY_ONLY)
    scene.claim(two, ADDRESS)


def test_the_same_claim_again_is_the_same_lease(scene: LiveScene) -> None:
    scene.allow()
    lab = scene.lab("lab")
    one = scene.claim(lab, SHOP, key="k")
    assert scene.claim(lab, SHOP, key="k") == one
    with pytest.raises(ConflictError):
        scene.claim(lab, ADDRESS, key="k")


def test_a_live_lease_lapses_without_a_heartbeat(scene: LiveScene, clock: object) -> None:
    scene.allow()
    lab = scene.lab("lab")
    held = scene.claim(lab, SHOP)
    clock.advance(timedelta(minutes=10))  # type: ignore[attr-defined]
    scene.beat(lab, held)
    clock.advance(timedelta(minutes=15))  # type: ignore[attr-defined]
    with pytest.raises(ConflictError):
        scene.beat(lab, held)
    with pytest.raises(ConflictError):
        scene.passport(lab, held)
    scene.claim(scene.lab("other"), SHOP)


def _all_at_once(*acts: Callable[[], object]) -> list[object]:
    """What each act gave or was refused with, all begun at one instant."""
    found: list[object] = [None] * len(acts)
    gate = threading.Barrier(len(acts))

    def run(at: int, act: Callable[[], object]) -> None:
        gate.wait()
        try:
            found[at] = act()
        except ClearholdError as error:
            found[at] = error

    threads = [threading.Thread(target=run, args=each) for each in enumerate(acts)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return found


def test_no_more_leases_stand_at_once_than_the_owner_allows(scene: LiveScene) -> None:
    """Counted in the database: claims that race never exceed it."""
    scene.allow(concurrency=2)
    labs = [scene.lab(f"lab{n}") for n in range(6)]
    found = _all_at_once(
        *(
            lambda lab=lab, n=n: scene.claim(lab, f"host:203.0.113.{n}", key=f"race-{n}")
            for n, lab in enumerate(labs)
        )
    )
    assert sum(not isinstance(each, ClearholdError) for each in found) == 2
    assert all(isinstance(each, ConflictError) for each in found if isinstance(each, Exception))


def test_a_passport_is_revoked_by_a_stop_or_never_issued(scene: LiveScene) -> None:
    """However issuing and stopping race, no passport counts after the stop."""
    scene.allow()
    lab = scene.lab("lab")
    for turn in range(4):
        held = scene.claim(lab, SHOP)
        issued, stopped = _all_at_once(
            lambda held=held: scene.passport(lab, held),
            lambda: scene.hub.live.emergency.stop(
                scene.owner, ["domain:*.water.example"], reason="smoke"
            ),
        )
        assert not isinstance(stopped, Exception), stopped
        if not isinstance(issued, ClearholdError):
            keys = read_keys(scene.hub.live.passports.keys())
            reference = read_passport(issued.token, keys).reference  # type: ignore[attr-defined]
            day = reference.uri.rpartition("/")[2]
            assert read_status(scene.hub.live.passports.status(day), keys).revoked(reference.idx)
            assert not scene.hub.live.check.authorised(
                issued.code,  # type: ignore[attr-defined]
                target=SHOP,
                source="198.51.100.7",
                asked_from=f"192.0.2.{turn}",
            )
        for notice in scene.hub.live.emergency.notices(lab):
            scene.hub.live.emergency.acknowledge(lab, notice.id)
        scene.hub.live.emergency.lift(scene.owner, stopped.id)  # type: ignore[attr-defined]


def test_an_emergency_stop_ends_everything_there_and_reaches_every_holder(
    scene: LiveScene,
) -> None:
    """Until a holder acknowledges, it gets no live lease; the owner sees pseudonyms alone."""
    scene.allow()
    one, two, far = scene.lab("one"), scene.lab("two"), scene.lab("far")
    shop = scene.claim(one, SHOP)
    mail = scene.claim(two, "host:mail.water.example:25")
    other = scene.claim(far, ADDRESS)
    passport = scene.passport(one, shop)
    emergency = scene.hub.live.emergency
    stopped = emergency.stop(scene.owner, ["domain:*.water.example"], reason="pumps fail")
    assert [each.acknowledged_at for each in stopped.told] == [None, None]
    shown = str(stopped)
    assert all(each.party not in shown for each in (one, two, far))
    for actor, held in ((one, shop), (two, mail)):
        with pytest.raises(ConflictError) as told:
            scene.beat(actor, held)
        assert told.value.facts["stop"] is True
        with pytest.raises(ConflictError):
            scene.passport(actor, held)
        assert _refused(scene, actor, ADDRESS, mode=Mode.NOTIFY_ONLY).facts["stop"] is True
    scene.beat(far, other)
    assert not scene.hub.live.check.authorised(
        passport.token, target=SHOP, source="198.51.100.7", asked_from="192.0.2.1"
    )
    (notice,) = emergency.notices(one)
    emergency.acknowledge(one, notice.id)
    assert emergency.acknowledge(one, notice.id).acknowledged_at is not None
    waiting = [e for e in emergency.get(scene.owner, stopped.id).told if not e.acknowledged_at]
    assert len(waiting) == 1
    assert emergency.notices(one) == ()
    with pytest.raises(NotFoundError):
        emergency.acknowledge(one, emergency.notices(two)[0].id)
    # It stands: nothing new begins there, until it is lifted.
    _refused(scene, one, SHOP)
    scene.claim(one, "host:203.0.113.77")
    emergency.lift(scene.owner, stopped.id)
    scene.claim(one, SHOP)


def test_only_who_has_a_say_stops_scans(scene: LiveScene) -> None:
    """A stranger stops nothing and sees no stop; a coordinator stops anything."""
    scene.allow()
    lab, rival = scene.lab("lab"), scene.lab("rival")
    held = scene.claim(lab, SHOP)
    emergency = scene.hub.live.emergency
    with pytest.raises(ConflictError):
        emergency.stop(rival, [SHOP], reason="spite")
    stranger = scene.party_of(PartyKind.OPERATOR, "power")
    scene.stand(stranger, "power.example")
    emergency.stop(stranger, ["domain:*.power.example"], reason="x")
    assert scene.beat(lab, held).state is State.ACTIVE
    made = emergency.stop(scene.coordinator, [SHOP], reason="harm")
    assert scene.hub.live.leases.get(lab, held.lease.id).state is State.REVOKED
    for other in (rival, stranger, lab, scene.owner):
        with pytest.raises(NotFoundError):
            emergency.get(other, made.id)
        with pytest.raises(NotFoundError):
            emergency.lift(other, made.id)


def test_withdrawing_consent_ends_what_stands_on_it(scene: LiveScene) -> None:
    given = scene.allow()
    lab = scene.lab("lab")
    held = scene.claim(lab, SHOP)
    issued = scene.passport(lab, held)
    for stranger in (lab, scene.coordinator):
        with pytest.raises(NotFoundError):
            scene.hub.live.authorisations.withdraw(stranger, given.stored.id)
    scene.hub.live.authorisations.withdraw(scene.owner, given.stored.id)
    scene.hub.live.authorisations.withdraw(scene.owner, given.stored.id)
    assert scene.hub.live.leases.get(lab, held.lease.id).state is State.REVOKED
    assert not scene.hub.live.check.authorised(
        issued.code, target=SHOP, source="198.51.100.7", asked_from="192.0.2.1"
    )
    assert len(scene.hub.live.emergency.notices(lab)) == 1
    (told,) = scene.hub.live.emergency.withdrawal(scene.owner, given.stored.id)
    assert told.acknowledged_at is None
    _refused(scene, lab, SHOP)


def test_what_is_not_ones_own_is_not_there(scene: LiveScene) -> None:
    """Leases, consents and stops of others answer like what never was."""
    given = scene.allow()
    lab, rival = scene.lab("lab"), scene.lab("rival")
    held = scene.claim(lab, SHOP)
    live = scene.hub.live
    for act in (
        lambda: live.leases.get(rival, held.lease.id),
        lambda: live.leases.heartbeat(rival, held.lease.id, fence=held.lease.fence),
        lambda: live.leases.release(rival, held.lease.id, fence=held.lease.fence),
        lambda: scene.passport(rival, held),
        lambda: live.authorisations.get(lab, given.stored.id),
        lambda: live.passports.revoke(rival, scene.passport(lab, held).id),
    ):
        with pytest.raises(NotFoundError):
            act()
    assert live.leases.list(rival) == ()
    assert live.authorisations.list(lab) == ()
    with pytest.raises(DeniedError):
        live.leases.list(scene.owner)


def test_neither_log_nor_ledger_nor_database_tells_what_is_scanned(scene: LiveScene) -> None:
    """Names and addresses stand nowhere in the open."""
    scene.allow()
    lab = scene.lab("lab")
    scene.passport(lab, scene.claim(lab, "host:secret.water.example", "host:203.0.113.9"))
    scene.hub.live.emergency.stop(scene.owner, ["host:secret.water.example"], reason="quiet")
    with scene.hub.sessions.transaction() as unit:
        for table in ("live_lease", "live_place", "live_passport", "live_stop", "ledger_leaf"):
            rows = unit.connection.exec_driver_sql(f"SELECT * FROM {table}").all()  # noqa: S608
            assert rows
            shown = str([[bytes(c) if isinstance(c, memoryview) else c for c in r] for r in rows])
            assert "secret" not in shown
            assert "203.0.113.9" not in shown
            assert "quiet" not in shown


def test_the_desk_for_software_leases_no_live_system(scene: LiveScene) -> None:
    """There is one way to a live lease, and it asks the owner."""
    scene.allow()
    with pytest.raises(InvalidError):
        scene.hub.scanning.claim(
            scene.lab("lab"),
            make_live_scope([SHOP], technique=Technique.DYNAMIC),
            mode=Mode.SHARED,
            window=timedelta(hours=1),
            budget_s=1,
            key="k",
        )


def test_what_was_withdrawn_does_not_come_back_in_another_envelope(scene: LiveScene) -> None:
    envelope = scene.envelope()
    given = scene.hub.live.authorisations.lodge(scene.owner, envelope)
    scene.hub.live.authorisations.withdraw(scene.owner, given.stored.id)
    again = scene.hub.live.authorisations.lodge(scene.owner, envelope + b" ")
    assert again.stored.id == given.stored.id
    assert again.stored.withdrawn_at is not None
    _refused(scene, scene.lab("lab"), SHOP)


@pytest.mark.parametrize("who", ["water", "lab"])
def test_consent_is_of_no_use_while_owner_or_holder_is_suspended(
    scene: LiveScene, who: str
) -> None:
    scene.allow()
    lab = scene.lab("lab")
    held = scene.claim(lab, SHOP)
    party = {"water": scene.owner, "lab": lab}[who]
    (name,) = {each.agreement for each in scene.hub.agreements.standings(party)}
    scene.hub.agreements.bar(scene.coordinator, name, party.party, Act.SUSPEND, reason="harm")
    _refused(scene, lab, ADDRESS)
    with pytest.raises(ConflictError):
        scene.passport(lab, held)
    with pytest.raises(ConflictError):
        scene.beat(lab, held)


def test_a_live_conflict_does_not_say_which_targets_are_taken(scene: LiveScene) -> None:
    scene.allow()
    scene.claim(scene.lab("lab"), ADDRESS)
    told = _refused(scene, scene.lab("rival"), SHOP, ADDRESS)
    assert "203.0.113.9" not in f"{told.message}{told.next_step}{told.facts}"


def test_refusals_are_counted_so_that_a_prober_soon_learns_nothing(
    scene: LiveScene, clock: Any
) -> None:
    """Once they are used up, what is free, taken and not allowed is answered alike."""
    scene.allow()
    scene.claim(scene.lab("rival"), ADDRESS)
    prober = scene.lab("prober")
    for number in range(REFUSALS_A_DAY):
        _refused(scene, prober, (ADDRESS, "host:192.0.2.9")[number % 2])
    told = []
    for target in (ADDRESS, SHOP, "host:192.0.2.9"):
        with pytest.raises(LimitError) as refused:
            scene.claim(prober, target)
        told.append((refused.value.message, refused.value.next_step, refused.value.facts))
    assert told[0] == told[1] == told[2]
    assert scene.claim(scene.lab("other"), SHOP)
    clock.advance(timedelta(days=1))
    assert scene.claim(prober, SHOP)


def test_granted_claims_are_counted_too_and_a_repeated_one_is_not(scene: LiveScene) -> None:
    scene.allow()
    lab = scene.lab("lab")
    for number in range(ANSWERS_A_DAY):
        held = scene.claim(lab, SHOP, key=f"again-{number}")
        assert scene.claim(lab, SHOP, key=f"again-{number}") == held
        scene.hub.live.leases.release(lab, held.lease.id, fence=held.lease.fence)
    with pytest.raises(LimitError):
        scene.claim(lab, SHOP)


@pytest.mark.parametrize("who", ["water", "lab"])
def test_a_suspended_holders_lease_holds_nobody_off(scene: LiveScene, who: str) -> None:
    given = scene.allow(concurrency=1)
    lab, other = scene.lab("lab"), scene.lab("other")
    held = scene.claim(lab, SHOP)
    party = {"water": scene.owner, "lab": lab}[who]
    (name,) = {each.agreement for each in scene.hub.agreements.standings(party)}
    bar = scene.hub.agreements.bar
    bar(scene.coordinator, name, party.party, Act.SUSPEND, reason="harm")
    if who == "water":
        _refused(scene, other, SHOP)
        return
    assert scene.claim(other, SHOP).lease.fence > held.lease.fence
    bar(scene.coordinator, name, party.party, Act.RESUME, reason="settled")
    with pytest.raises(ConflictError):
        scene.beat(lab, held)
    assert given.consent.concurrency == 1


@pytest.mark.parametrize("who", ["water", "lab"])
def test_a_suspension_shows_in_the_next_list_and_at_once_in_the_check(
    scene: LiveScene, who: str
) -> None:
    """Of the holder or of the owner, without waiting for a heartbeat."""
    scene.allow()
    lab = scene.lab("lab")
    issued = scene.passport(lab, scene.claim(lab, SHOP))
    live = scene.hub.live
    trusted = read_keys(live.passports.keys())
    reference = read_passport(issued.token, trusted).reference

    def counts() -> tuple[bool, ...]:
        day = reference.uri.rpartition("/")[2]
        listed = read_status(live.passports.status(day), trusted)
        asked = {"target": SHOP, "source": "198.51.100.7", "asked_from": "192.0.2.1"}
        return (
            live.check.authorised(issued.code, **asked),
            live.check.authorised(issued.token, **asked),
            not listed.revoked(reference.idx),
        )

    assert counts() == (True, True, True)
    party = {"water": scene.owner, "lab": lab}[who]
    (name,) = {each.agreement for each in scene.hub.agreements.standings(party)}
    scene.hub.agreements.bar(scene.coordinator, name, party.party, Act.SUSPEND, reason="harm")
    assert counts() == (False, False, False)
