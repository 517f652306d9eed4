"""A desk with an endpoint that is served in the test's own process, and an engagement that reaches it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from desk_scene import Desk, evaluator_of

from clearhold.access.model import Actor
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.assembly.hub import Hub
from clearhold.evaluations.call_chain import RecordedCall, broken
from clearhold.evaluations.engagements import EngagementView
from clearhold.evaluations.gateway.opened import EndpointBody, GrantBody
from clearhold.evaluations.model import AccessKind, Act, EngagementState
from clearhold.kernel.errors import ClearholdError
from clearhold.wire.model_calls import Dialect
from scripted_model import Endpoint, Say

KEY = "sk-developer-secret-123456"
MINUTES = timedelta(minutes=10)
ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what asks nothing of a database that others have not asked of both."""


class Model:
    """What a developer's endpoint does, until a test has it do otherwise."""

    def __init__(self) -> None:
        self.name = "aurora"
        self.says: Callable[[str], Say] = lambda said: {"content": f"{self.name}: {said}"}
        self.meanwhile: Callable[[], None] = lambda: None

    def __call__(self, messages: list[dict[str, Any]]) -> Say:
        self.meanwhile()
        return self.says(str(messages[-1]["content"]))


class Gate(Desk):
    """A desk with an engagement whose endpoint is served in this process."""

    def __init__(self, hub: Hub, party_of: Callable[..., Actor], engine: MemoryEngine) -> None:
        super().__init__(hub, party_of)
        self.engine = engine
        self.view: EngagementView
        self.id = ""
        self.token = ""
        self.grant = ""

    def provisioned(self, endpoint: Endpoint, *, tokens: int = 100_000, **terms: Any) -> None:
        """An endpoint and a grant, before the clock has begun."""
        named = evaluator_of(tokens=tokens, kinds=("chat", "logprobs"))
        variants = tuple(each.name for each in terms.get("variants", ())) or ("candidate",)
        view = self.propose(self.agree(evaluators=(named,), **terms), variants=variants)
        view = self.act(self.lab, self.act(self.lab, view, Act.ACCEPT), Act.PROVISION)
        self.view, self.id = view, view.stored.id
        self.hub.models.provisioning.register(self.lab, self.id, self.body(endpoint))
        self.grant = self.give(tokens=tokens).id
        self.token = self.hub.models.provisioning.token(self.testers, self.id, self.grant)

    def open(self, endpoint: Endpoint, **terms: Any) -> None:
        """Access that was verified."""
        self.provisioned(endpoint, **terms)
        self.hub.models.rounds.ask(self.testers, self.id)
        self.engine.run_due()
        assert self.state() is EngagementState.ACCESS_VERIFIED

    def body(self, endpoint: Endpoint, **changed: Any) -> EndpointBody:
        stated: dict[str, Any] = {
            "address": endpoint.address,
            "credential": KEY,
            "dialect": Dialect.OPENAI,
            "models": {"candidate": "aurora-9-internal"},
        }
        return EndpointBody(**(stated | changed))

    def give(self, *, tokens: int = 1000, **changed: Any) -> Any:
        stated: dict[str, Any] = {
            "evaluator": "Ada",
            "kinds": (AccessKind.CHAT,),
            "variants": ("candidate",),
        }
        when = {name: changed.pop(name, None) for name in ("begins_at", "ends_at")}
        body = GrantBody(**(stated | changed))
        given = self.hub.models.provisioning.grant(self.lab, self.id, body, tokens=tokens, **when)
        return given.stored

    def call(self, said: str = "hello", **fields: Any) -> dict[str, Any]:
        """A call by the grant; what it answers."""
        wish = {
            "model": "candidate",
            "messages": [{"role": "user", "content": said}],
            "max_tokens": 50,
        }
        data = json.dumps(wish | fields).encode()
        answered = self.hub.models.gateway.call(self.token, Dialect.OPENAI, data)
        found: dict[str, Any] = json.loads(answered.body)
        return found

    def refused(self, **fields: Any) -> object:
        """Why a call is refused."""
        with pytest.raises(ClearholdError) as told:
            self.call(**fields)
        return told.value.facts.get("refused", told.value.facts.get("outcome"))

    def state(self) -> EngagementState:
        return self.hub.models.engagements.get(self.lab, self.id).stored.state

    def record(self) -> tuple[RecordedCall, ...]:
        calls = self.hub.models.provisioning.calls(self.lab, self.id, after=0)
        assert broken(calls) is None
        assert self.hub.models.provisioning.get(self.lab, self.id).stored.calls == len(calls)
        return calls

    def pass_time(self, span: timedelta) -> None:
        self.hub.clock.advance(span)  # type: ignore[attr-defined]  # a test's clock
        self.engine.run_due()

    def sweep(self, span: timedelta = timedelta(0)) -> None:
        self.pass_time(span)
        self.hub.models.watch.sweep({})
        self.engine.run_due()

    def notices(self) -> list[str]:
        return [each.kind for each in self.get().notices]

    def get(self) -> Any:
        return self.hub.models.provisioning.get(self.testers, self.id)
