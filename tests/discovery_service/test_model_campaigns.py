"""A campaign of a model: sealed, chained, counted, and submitted in its party's name once proved."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine as Database
from sqlalchemy import select

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind, Permission
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.assembly.hub import Hub, assemble
from clearhold.catalogue.model import Technique
from clearhold.discovery.agents import transcript
from clearhold.discovery.agents.tables import agent_piece, agent_run
from clearhold.kernel.errors import (
    ConflictError,
    DeniedError,
    InvalidError,
    LimitError,
    NotFoundError,
)
from clearhold.kernel.ids import DiscoveryId
from clearhold.ledger.records import leaves
from clearhold.ports.sandbox import Tier
from clearhold.scanning.model import Lease, Mode, StopReason, Versions, make_scope
from clearhold.settings import Settings
from reproduction_bench import CACHE, laboratory, ujson
from scripted_model import LOOPBACK, Endpoint, Script, answer, in_turn, serving, wish

PACKAGE = "pkg:pypi/ujson"
VERSION = "5.1.0"
PROOF = "[" * 100 + " " * 100
"""More indentation than the encoder has room for."""
KEY = "sk-the-hub-s-own-key"
MOST_TOKENS = 50_000
__all__ = ["laboratory", "ujson"]

pytestmark = pytest.mark.usefixtures("ujson")


class Swapped:
    """A script that a test may change while the endpoint serves."""

    def __init__(self) -> None:
        self.now: Script = in_turn([wish("give_up", reason="nothing to do")])
        self.during: Callable[[], None] = lambda: None

    def __call__(self, messages: list[dict[str, Any]]) -> Any:
        self.during()
        return self.now(messages)


@dataclass(frozen=True)
class Ground:
    hub: Hub
    engine: MemoryEngine
    script: Swapped
    endpoint: Endpoint
    coordinator: Actor
    lab: Actor
    other: Actor

    def lease(self, technique: Technique = Technique.MODEL_REVIEW, *paths: str) -> Lease:
        scope = make_scope(
            PACKAGE, versions=Versions(exact=VERSION), paths=paths, technique=technique
        )
        return self.hub.scanning.claim(
            self.lab,
            scope,
            mode=Mode.EXCLUSIVE,
            window=timedelta(hours=8),
            budget_s=600,
            key=f"{technique}{paths}",
        ).lease

    def begin(self, lease: Lease, actor: Actor | None = None, **changes: Any) -> DiscoveryId:
        given: dict[str, Any] = {
            "lease": lease.id,
            "fence": lease.fence,
            "package": f"{PACKAGE}@{VERSION}",
            "target": "encode",
            "seed": 1,
            "budget_s": 300,
            "key": "key-1",
            "engine": "model",
        }
        return self.hub.discovery.begin(actor or self.lab, **(given | changes))

    def ended(self, steps: list[Any], **changes: Any) -> DiscoveryId:
        """A campaign that followed these steps to its end."""
        self.script.now = in_turn(steps)
        identity = self.begin(self.lease(), **changes)
        self.engine.run_due()
        return identity


@pytest.fixture
def script() -> Swapped:
    return Swapped()


@pytest.fixture
def endpoint(script: Swapped) -> Iterator[Endpoint]:
    with serving(script) as served:
        yield served


@pytest.fixture
def hub(
    tmp_path: Path, database: Database, clock: Any, engine: MemoryEngine, endpoint: Endpoint
) -> Hub:
    """A hub with a model, and the sources that other tests fetched."""
    key = tmp_path / "model-key"
    key.write_text(KEY + "\n")
    key.chmod(0o600)
    settings = Settings(
        data_directory=tmp_path / "data",
        key_directory=tmp_path / "keys",
        cache_directory=CACHE,
        least_tier_code=Tier.NAMESPACES,
        model_url=endpoint.address,
        model_name="scripted-1",
        model_key_file=str(key),
        model_networks=LOOPBACK,
        model_tokens=MOST_TOKENS,
    )
    return assemble(settings, database=database, clock=clock, engine=engine)


@pytest.fixture
def ground(
    hub: Hub,
    engine: MemoryEngine,
    script: Swapped,
    endpoint: Endpoint,
    party_of: Callable[..., Actor],
) -> Ground:
    coordinator = party_of(PartyKind.COORDINATOR)
    hub.catalogue.add(
        coordinator,
        PACKAGE,
        versions=(VERSION,),
        techniques=(Technique.FUZZING, Technique.MODEL_REVIEW),
    )
    labs = (party_of(PartyKind.LAB, "lab-alpha"), party_of(PartyKind.LAB, "lab-beta"))
    return Ground(hub, engine, script, endpoint, coordinator, *labs)


def test_what_a_model_proved_is_submitted_with_credit_and_validated(ground: Ground) -> None:
    noted = wish("note_hypothesis", text="Indentation is unchecked.", path="lib/ultrajsonenc.c")
    identity = ground.ended([noted, wish("run_proof", target="encode", text=PROOF)])
    view = ground.hub.discovery.get(ground.lab, identity)
    assert (view.campaign.state, view.campaign.ending) == ("found", "found"), view.note
    assert view.crash == PROOF.encode()
    (listed,) = ground.hub.findings.list(ground.lab)
    found = ground.hub.findings.get(ground.lab, listed.head.id)
    assert found.body is not None
    assert "scripted-1, a language model, for Lab-Alpha" in found.body.description
    pieces = ground.hub.discovery.transcript(ground.lab, identity)
    assert any(each.digest.hex() in found.body.description for each in pieces)
    assert found.head.verdict.startswith("reproduced")
    assert ground.hub.findings.proof(ground.lab, found.head.id) == PROOF.encode()
    assert ground.hub.findings.list(ground.other) == ()
    for _, body in ground.endpoint.asked:
        assert "Lab-Alpha" not in json.dumps(body)
    ground.engine.run_due()
    assert len(ground.hub.findings.list(ground.lab)) == 1


def test_a_transcript_is_sealed_chained_and_its_party_s_alone(ground: Ground) -> None:
    identity = ground.ended([wish("search", pattern="CANARY-OF-A-TRANSCRIPT"), wish("give_up")])
    view = ground.hub.discovery.get(ground.lab, identity)
    assert (view.campaign.state, view.campaign.ending) == ("nothing_found", "done")
    pieces = ground.hub.discovery.transcript(ground.lab, identity)
    head = transcript.head((each.content, each.digest) for each in pieces)
    with ground.hub.sessions.transaction() as unit:
        (end,) = [
            each for each in leaves(unit.connection) if each.action == "discovery:campaign:end"
        ]
        rows = repr(unit.connection.execute(select(agent_piece)).all())
        rows += repr(unit.connection.execute(select(agent_run)).all())
    assert end.detail["transcript"] == head.hex()
    assert end.detail["pieces"] == str(len(pieces))
    assert "CANARY" not in rows
    assert "scripted" not in rows
    assert b"CANARY-OF-A-TRANSCRIPT" in b"".join(each.content for each in pieces)
    for actor, refusal in ((ground.other, NotFoundError), (ground.coordinator, DeniedError)):
        with pytest.raises(refusal):
            ground.hub.discovery.transcript(actor, identity)


def test_a_campaign_cut_off_goes_on_with_what_is_left_and_one_chain(ground: Ground) -> None:
    ground.script.now = in_turn([wish("search", pattern="a"), wish("give_up")])
    identity = ground.begin(ground.lease(), options={"turns": "3"})
    service = ground.hub.discovery
    real = service._agents.journal
    written = []

    class Died(BaseException):
        """The process ends here."""

    class Dying:
        """A journal whose process dies at the fourth piece."""

        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def append(self, *given: Any) -> None:
            written.append(given)
            if len(written) == 4:
                raise Died
            self._inner.append(*given)

    service._agents.journal = lambda known: Dying(real(known))  # type: ignore[method-assign,assignment,return-value]
    with pytest.raises(Died):
        ground.engine.run_due()
    del service._agents.journal
    before = service.transcript(ground.lab, identity)
    ground.engine.run_due()
    after = service.transcript(ground.lab, identity)
    assert after[: len(before)] == before
    assert transcript.head((each.content, each.digest) for each in after) == after[-1].digest
    kinds = [json.loads(each.content)["kind"] for each in after]
    assert kinds.count("begin") == 2
    assert kinds.count("said") <= 3
    assert service.get(ground.lab, identity).campaign.ended_at is not None


def test_a_lease_taken_away_ends_a_search_that_runs(ground: Ground) -> None:
    revoked = []

    def revoke() -> None:
        if not revoked:
            revoked.append(True)
            ground.hub.scanning.revoke(ground.coordinator, PACKAGE, reason=StopReason.HARM)

    ground.script.during = revoke
    ground.script.now = lambda messages: wish("search", pattern=f"x{len(messages)}", regex=True)
    identity = ground.begin(ground.lease())
    ground.engine.run_due()
    view = ground.hub.discovery.get(ground.lab, identity)
    assert (view.campaign.state, view.campaign.ending) == ("stopped", "lease")
    assert len(ground.endpoint.asked) < 30


def test_the_paths_of_the_lease_bound_what_is_read(ground: Ground) -> None:
    steps = [
        wish("read_file", path="lib/ultrajsondec.c"),
        wish("read_file", path="lib/ultrajsonenc.c"),
        wish("give_up"),
    ]
    ground.script.now = in_turn(steps)
    identity = ground.begin(ground.lease(Technique.MODEL_REVIEW, "lib/ultrajsonenc.c"))
    ground.engine.run_due()
    pieces = ground.hub.discovery.transcript(ground.lab, identity)
    told = [json.loads(each.content) for each in pieces]
    refused, read, _ = [json.loads(each["answer"]) for each in told if each["kind"] == "tool"]
    assert refused["error"] == "not_found"
    assert read["lines"]


def test_tokens_of_a_day_are_bounded_for_a_party(ground: Ground) -> None:
    dear = answer(wish("search", pattern="a"), prompt_tokens=MOST_TOKENS)
    identity = ground.ended([dear, wish("give_up")])
    assert ground.hub.discovery.get(ground.lab, identity).campaign.ending == "budget"
    assert len(ground.endpoint.asked) == 1
    with pytest.raises(LimitError):
        ground.begin(ground.lease(), key="key-2")


def test_a_model_searches_only_under_a_lease_for_reviews_by_models(ground: Ground) -> None:
    with pytest.raises(ConflictError):
        ground.begin(ground.lease(Technique.FUZZING))
    lease = ground.lease()
    without = replace(ground.lab, permissions=ground.lab.permissions - {Permission.FINDINGS_SUBMIT})
    with pytest.raises(DeniedError):
        ground.begin(lease, actor=without)
    with pytest.raises(InvalidError):
        ground.begin(lease, options={"temperature": "1"})
    assert ground.endpoint.asked == []
