"""Evaluators reach a model through the gateway only as agreed, and every call leaves a record."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from desk_scene import DAY, HOUR
from gateway_scene import KEY, MINUTES, ONE_DATABASE, Gate, Model
from sqlalchemy import Engine, select

from clearhold.delivery.http.app import make_app
from clearhold.evaluations.call_chain import RecordedCall, broken
from clearhold.evaluations.gateway.tables import model_endpoint, model_grant
from clearhold.evaluations.model import AccessKind, Act, AgreementState, EngagementState
from clearhold.kernel.errors import (
    ClearholdError,
    DeniedError,
    InvalidError,
    LimitError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from clearhold.wire.model_calls import Dialect
from in_process_http import client_of
from scripted_model import Endpoint, answer


def test_the_first_call_asks_for_the_canary_and_the_clock_starts_when_that_has_passed(
    gate: Gate, served: Endpoint
) -> None:
    gate.provisioned(served)
    assert gate.hub.models.engagements.get(gate.lab, gate.id).clock.began_at is None
    with pytest.raises(DeniedError, match="evaluator asks"):
        gate.hub.models.rounds.ask(gate.lab, gate.id)
    assert gate.refused() == "not-open"
    gate.engine.run_due()
    view = gate.hub.models.engagements.get(gate.lab, gate.id)
    assert view.stored.state is EngagementState.ACCESS_VERIFIED
    assert view.clock.began_at == gate.now()
    assert gate.call()["choices"][0]["message"]["content"] == "aurora: hello"
    calls = gate.record()
    assert calls[0].outcome == "refused:not-open"
    assert {each.outcome for each in calls[1:]} == {"answered"}
    assert {each.caller for each in calls} == {"gateway", gate.grant}
    assert calls[-1].variant == 1
    assert [each.outcome for each in gate.get().rounds] == ["same"]


def test_nobody_but_the_endpoint_sees_its_key_and_nobody_but_the_evaluator_its_token(
    gate: Gate, served: Endpoint, model: Model, database: Engine, tmp_path: Path
) -> None:
    gate.open(served)
    answered = gate.call()
    headers, sent = served.asked[-1]
    assert headers["authorization"] == f"Bearer {KEY}"
    assert sent["model"] == "aurora-9-internal"
    assert answered["model"] == "candidate"
    assert gate.token not in served.everything
    with pytest.raises(DeniedError):
        gate.hub.models.provisioning.token(gate.lab, gate.id, gate.grant)
    for echo in (KEY, json.dumps({"echo": KEY}), "x"):
        model.says = lambda said, echo=echo: answer({"content": f"{said} {echo}"})
        if echo == "x":
            model.says = lambda _: (401, {}, json.dumps({"error": {"message": KEY}}).encode())
        with pytest.raises(UnavailableError) as told:
            gate.call()
        assert KEY not in f"{told.value.message} {told.value.next_step} {told.value.facts}"
    shown = repr(gate.body(served)) + repr(gate.get())
    with database.connect() as connection:
        for table in (model_endpoint, model_grant):
            shown += repr(connection.execute(select(table)).all())
    if database.dialect.name == "sqlite":
        for file in (tmp_path / "data").rglob("*"):
            shown += file.read_bytes().decode("latin-1") if file.is_file() else ""
    for secret in (KEY, gate.token, gate.token.split("_")[-1], served.address, "aurora-9-internal"):
        assert secret not in shown


@ONE_DATABASE
def test_no_developer_sends_the_hub_into_its_own_network(gate: Gate, served: Endpoint) -> None:
    gate.provisioned(served)
    for address, said in (
        ("http://169.254.169.254/v1", "may not be asked"),
        ("https://10.1.2.3/v1", "may not be asked"),
        ("https://[::1]/v1", "may not be asked"),
        ("https://user@example.org/v1", "may not be asked"),
        ("file:///etc/passwd", "may not be asked"),
        ("http://127.0.0.1:1/v1?x=/", "base URL"),
        ("http://127.0.0.1:1/v1#x", "base URL"),
    ):
        with pytest.raises(InvalidError, match=said):
            gate.hub.models.provisioning.register(
                gate.lab, gate.id, gate.body(served, address=address)
            )
    for changed in ({"models": {"other": "x"}}, {"models": {}}, {"credential": "a\r\nHost: b"}):
        with pytest.raises(InvalidError):
            gate.hub.models.provisioning.register(gate.lab, gate.id, gate.body(served, **changed))
    with pytest.raises(DeniedError):
        gate.hub.models.provisioning.register(gate.testers, gate.id, gate.body(served))


@ONE_DATABASE
def test_a_grant_gives_what_the_agreement_gives_and_no_more(gate: Gate, served: Endpoint) -> None:
    gate.open(served, tokens=3000)
    wrong: list[dict[str, Any]] = [
        {"evaluator": "Mallory"},
        {"variants": ("other",)},
        {"variants": ()},
        {"kinds": (AccessKind.FINE_TUNING,)},
        {"tokens": 1},  # the first grant has them all
        {"ends_at": gate.now()},
        {"begins_at": gate.now() + 2 * DAY, "ends_at": gate.now() + DAY},
        {"ends_at": gate.now() + 400 * DAY},
    ]
    for changed in wrong:
        with pytest.raises(InvalidError):
            gate.give(**changed)
    assert gate.refused(logprobs=True) == "other-kind"
    assert gate.refused(model="other") == "other-variant"
    assert gate.refused(max_tokens=3000) == "no-tokens"
    assert gate.refused(stream=True) == "invalid"
    gate.hub.models.provisioning.withdraw_grant(gate.testers, gate.id, gate.grant)
    assert gate.refused() == "grant-withdrawn"
    again = gate.give(tokens=2000, ends_at=gate.now() + HOUR)  # of what the first has not spent
    gate.token = gate.hub.models.provisioning.token(gate.testers, gate.id, again.id)
    gate.call()
    old, gate.token = (
        gate.token,
        gate.hub.models.provisioning.token(gate.testers, gate.id, again.id),
    )
    gate.call()
    for token in (old, "", "cg_x", gate.token[:-1] + ("A" if gate.token[-1] != "A" else "B")):
        with pytest.raises(UnauthenticatedError):
            gate.hub.models.gateway.call(token, Dialect.OPENAI, b"{}")
    gate.pass_time(HOUR)
    assert gate.refused() == "expired"
    with pytest.raises(ClearholdError):
        gate.hub.models.gateway.call(gate.token, Dialect.ANTHROPIC, b"\x00")
    outcomes = [each.outcome for each in gate.record() if each.caller != "gateway"]
    assert outcomes == [
        *("refused:other-kind", "refused:other-variant", "refused:no-tokens", "refused:invalid"),
        *("refused:grant-withdrawn", "answered", "answered", "refused:expired", "refused:invalid"),
    ]


def test_calls_at_the_same_moment_spend_no_more_than_there_is(
    gate: Gate, served: Endpoint, model: Model
) -> None:
    gate.open(served, tokens=1000)
    model.says = lambda _: answer({"content": "."}, prompt_tokens=900_000, completion_tokens=0)

    def one(_: int) -> bool:
        try:
            gate.call(max_tokens=150)  # with its own bytes about 230 each: four fit
        except (DeniedError, LimitError):
            return False
        return True

    with ThreadPoolExecutor(12) as pool:
        went = list(pool.map(one, range(12)))
    grant = gate.get().grants[0].stored
    assert grant.held == 0
    assert grant.spent <= grant.tokens
    assert sum(went) == 4
    answered = [each for each in gate.record() if each.caller == gate.grant]
    assert len(answered) == 12
    assert sum(each.outcome == "answered" for each in answered) == 4


def test_the_developer_is_heard_at_the_next_call_and_while_a_model_still_speaks(
    gate: Gate, served: Endpoint, model: Model
) -> None:
    gate.open(served)
    desk = gate.hub.models

    def switch(*, off: bool) -> None:
        desk.provisioning.switch(gate.lab, gate.id, off=off)

    model.meanwhile = lambda: switch(off=True)
    assert gate.refused() == "cut-off"
    model.meanwhile = lambda: None
    assert gate.refused() == "switched-off"
    switch(off=False)
    gate.call()
    model.meanwhile = lambda: desk.provisioning.withdraw_endpoint(gate.lab, gate.id) and None
    assert gate.refused() == "cut-off"
    model.meanwhile = lambda: None
    assert gate.refused() == "no-endpoint"
    desk.provisioning.register(gate.lab, gate.id, gate.body(served))
    assert gate.refused() == "no-endpoint"  # until it has passed a round itself
    gate.engine.run_due()
    gate.call()
    desk.agreements.move(gate.lab, gate.view.agreement.id, AgreementState.SUSPENDED)
    assert gate.refused() == "ended"
    desk.agreements.move(gate.lab, gate.view.agreement.id, AgreementState.IN_FORCE)
    gate.call()
    gate.act(gate.lab, gate.view, Act.WITHDRAW)
    assert gate.refused() == "ended"
    with pytest.raises(DeniedError):
        desk.provisioning.switch(gate.testers, gate.id, off=True)
    gate.record()


@ONE_DATABASE
def test_access_ends_with_the_window_and_nothing_else_happens_to_the_developer(
    gate: Gate, served: Endpoint
) -> None:
    gate.open(served)
    gate.act(gate.testers, gate.view, Act.BEGIN)
    gate.sweep()
    assert gate.notices() == []
    told = []
    for days in (3, 3, 2, 2):
        gate.sweep(days * DAY)
        gate.sweep()
        told.append(gate.notices())
    assert told == [
        ["access-ends-in-7-days", "draft-due-in-2-days"],
        ["access-ends-in-7-days", "draft-due-in-2-days", "draft-due"],
        ["access-ends-in-7-days", "draft-due-in-2-days", "draft-due", "access-ends-in-2-days"],
        [
            *("access-ends-in-7-days", "draft-due-in-2-days", "draft-due"),
            *("access-ends-in-2-days", "access-ended"),
        ],
    ]
    assert gate.refused() == "not-open"
    assert gate.state() is EngagementState.TESTING
    assert [each.round for each in gate.get().rounds] == ["start", "middle"]


@ONE_DATABASE
def test_another_model_in_the_middle_holds_the_engagement_until_both_have_signed(
    gate: Gate, served: Endpoint, model: Model
) -> None:
    gate.open(served)
    gate.act(gate.testers, gate.view, Act.BEGIN)
    model.name = "borealis"
    gate.sweep(5 * DAY)
    assert gate.state() is EngagementState.INCIDENT_HOLD
    assert gate.refused() == "ended"
    change = gate.change(gate.view, "lift-hold")
    gate.consent(gate.testers, gate.view, change)
    assert gate.refused() == "ended"
    gate.consent(gate.lab, gate.view, change)
    gate.call()
    gate.pass_time(HOUR)
    gate.hub.models.rounds.ask(gate.testers, gate.id)
    gate.engine.run_due()
    gate.sweep(5 * DAY - 2 * HOUR)
    told = [(each.round, each.outcome) for each in gate.get().rounds]
    assert told == [("start", "same"), ("middle", "different"), ("asked", "same"), ("end", "same")]


@ONE_DATABASE
def test_a_limit_of_the_endpoint_s_is_passed_on_and_counted(
    gate: Gate, served: Endpoint, model: Model
) -> None:
    gate.open(served)
    client = client_of(make_app(gate.hub), {"Authorization": f"Bearer {gate.token}"})
    wish = {"model": "candidate", "messages": [{"role": "user", "content": "hi"}]}
    for told, passed in (("17", "17"), ("soon\r\nX: y", None), ("a" * 900, None)):
        model.says = lambda _, told=told: (429, {"Retry-After": told.split("\r")[0]}, b"{}")
        answered = client.post("/gateway/v1/chat/completions", json=wish)
        assert answered.status_code == 429
        assert answered.headers.get("retry-after") == passed
        assert answered.json()["outcome"] == "rate-limited"
    assert gate.get().counted["rate-limited"] == 3
    assert gate.get().grants[0].stored.spent == 0
    gate.sweep(2 * HOUR)
    gate.sweep(2 * HOUR)
    assert gate.get().stored.failing_since is None  # it speaks, so it is no outage


@ONE_DATABASE
@pytest.mark.parametrize("credited", [True, False])
def test_hours_without_an_endpoint_are_given_back_only_where_the_agreement_says_so(
    gate: Gate,
    served: Endpoint,
    model: Model,
    credited: bool,  # noqa: FBT001
) -> None:
    gate.open(served, credits_outages=credited)
    ends = gate.hub.models.engagements.get(gate.lab, gate.id).clock.ends_at
    model.says = lambda _: (503, {}, b"down")
    assert gate.refused() == "endpoint-error"
    for _ in range(19):
        gate.sweep(MINUTES)
    model.says = lambda said: {"content": f"aurora: {said}"}
    gate.sweep(MINUTES)
    view = gate.hub.models.engagements.get(gate.lab, gate.id)
    outages = [each for each in view.happened if each.act == "outage"]
    assert len(outages) == 1
    assert outages[0].until - outages[0].at == 19 * MINUTES  # type: ignore[operator]
    assert view.clock.ends_at == ends + (19 * MINUTES if credited else 0 * MINUTES)  # type: ignore[operator]
    gate.call()
    for _ in range(3):  # a call that fails while probes go well is no outage
        model.says = lambda said: (500, {}, b"") if said == "odd" else {"content": said}
        assert gate.refused(messages=[{"role": "user", "content": "odd"}]) == "endpoint-error"
        gate.sweep(HOUR)
    happened = gate.hub.models.engagements.get(gate.lab, gate.id).happened
    assert sum(each.act == "outage" for each in happened) == 1


@ONE_DATABASE
def test_whatever_an_endpoint_does_has_an_outcome(
    gate: Gate, served: Endpoint, model: Model
) -> None:
    gate.open(served)
    bad = json.dumps({"error": {"message": "no such\nfield"}}).encode()
    for said, outcome, kind in (
        (b"not json", "endpoint-error", UnavailableError),
        ((302, {"Location": "http://127.0.0.1:1/"}, b""), "endpoint-error", UnavailableError),
        ((400, {}, bad), "endpoint-error", InvalidError),
        ((200, {"Content-Encoding": "gzip"}, b"x"), "no-answer", UnavailableError),
        ((500, {}, b"x" * 100), "endpoint-error", UnavailableError),
        (b"[]", "endpoint-error", UnavailableError),
    ):
        model.says = lambda _, said=said: said  # type: ignore[misc]
        with pytest.raises(kind) as told:
            gate.call()
        assert told.value.facts["outcome"] == outcome
    assert gate.get().grants[0].stored.held == 0
    gate.record()


def test_a_call_that_the_hub_s_end_cut_short_is_recorded_as_lost_and_its_tokens_spent(
    gate: Gate, served: Endpoint, model: Model
) -> None:
    gate.open(served)

    class Killed(BaseException):
        """What a call meets when the process is killed: nothing of ours runs any more."""

    gateway = gate.hub.models.gateway
    settle = gateway._settle

    def die(*_: object) -> Any:
        raise Killed

    gateway._settle = die  # type: ignore[method-assign]
    with pytest.raises(Killed):
        gate.call()
    gateway._settle = settle  # type: ignore[method-assign]
    held = gate.get().grants[0].stored.held
    assert held > 0
    gate.sweep(HOUR)
    gate.sweep()
    grant = gate.get().grants[0].stored
    assert (grant.held, grant.spent) == (0, held)
    assert [each.outcome for each in gate.record() if each.caller == gate.grant] == ["lost"]


def test_others_learn_nothing_of_a_gateway(gate: Gate, served: Endpoint) -> None:
    gate.open(served)
    desk = gate.hub.models.provisioning
    for stranger in gate.strangers:
        tries: list[Callable[[], object]] = [
            lambda who=stranger: desk.get(who, gate.id),
            lambda who=stranger: desk.calls(who, gate.id, after=0),
            lambda who=stranger: desk.token(who, gate.id, gate.grant),
            lambda who=stranger: desk.withdraw_grant(who, gate.id, gate.grant),
            lambda who=stranger: desk.switch(who, gate.id, off=True),
            lambda who=stranger: desk.withdraw_endpoint(who, gate.id),
            lambda who=stranger: gate.hub.models.rounds.ask(who, gate.id),
        ]
        for tried in tries:
            with pytest.raises(NotFoundError):
                tried()


def test_either_dialect_is_spoken_by_http_and_the_record_is_read_by_both_sides(
    gate: Gate, served: Endpoint, model: Model
) -> None:
    gate.provisioned(served)
    body = gate.body(served, dialect=Dialect.ANTHROPIC)
    gate.hub.models.provisioning.register(gate.lab, gate.id, body)
    model.says = lambda said: json.dumps(
        {
            "model": "aurora-9-internal",
            "content": [{"type": "text", "text": f"aurora: {said}"}],
            "usage": {"input_tokens": 3, "output_tokens": 4},
        }
    ).encode()
    gate.hub.models.rounds.ask(gate.testers, gate.id)
    gate.engine.run_due()
    client = client_of(make_app(gate.hub), {"x-api-key": gate.token})
    assert [each["id"] for each in client.get("/gateway/v1/models").json()["data"]] == ["candidate"]
    wish = {"model": "candidate", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    answered = client.post("/gateway/v1/messages", json=wish)
    assert answered.status_code == 200
    assert answered.json()["content"][0]["text"] == "aurora: hi"
    assert answered.json()["model"] == "candidate"
    headers, _ = served.asked[-1]
    assert headers["x-api-key"] == KEY
    assert "authorization" not in headers
    assert gate.record()[-1].number == int(answered.headers["x-clearhold-call"])
    assert gate.record()[-1].answer_tokens == 4
    by_router = client.post(
        "/gateway/v1/messages?beta=true", json=wish
    )  # which is not led straight
    assert by_router.json() == answered.json()
    assert by_router.headers.keys() == answered.headers.keys()
    assert answered.headers["x-content-type-options"] == "nosniff"
    for unclear in ({"Transfer-Encoding": "chunked"}, {"Content-Length": "9" * 5000}):
        for way in ("", "?beta=true"):
            refused = client.post(f"/gateway/v1/messages{way}", content=b"{}", headers=unclear)
            assert refused.status_code == 413
    other = client.post("/gateway/v1/chat/completions", json=wish)
    assert (other.status_code, other.json()["refused"]) == (422, "other-words")
    assert other.json()["error"]["message"]
    nobody = client_of(make_app(gate.hub), {"Authorization": "Bearer ch_x"})
    assert nobody.post("/gateway/v1/messages", json=wish).status_code == 401
    for actor in (gate.lab, gate.testers):
        with gate.hub.sessions.transaction() as unit:
            token = gate.hub.tokens.issue(unit, actor.principal, life=DAY, by="test").secret
        reader = client_of(make_app(gate.hub), {"Authorization": f"Bearer {token}"})
        assert reader.post("/gateway/v1/messages", json=wish).status_code == 401
        listed = reader.get(f"/api/v1/evaluations/engagements/{gate.id}/calls").json()
        assert broken([msgspec.convert(each, RecordedCall) for each in listed]) is None
        assert len(listed) == len(gate.record())
