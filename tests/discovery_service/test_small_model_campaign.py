"""A real model, small and mostly wrong, is led through a whole campaign, and the hub bears it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine as Database

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.adapters.model_local import LocalModel, serving
from clearhold.adapters.model_openai import OpenAiModel
from clearhold.adapters.origins import all_origins
from clearhold.adapters.sources_cache import CachedSources
from clearhold.assembly.hub import Hub, assemble
from clearhold.catalogue.model import Technique
from clearhold.discovery.agents import transcript
from clearhold.discovery.agents.small_model import NAME, small_model
from clearhold.kernel.errors import ClearholdError, DeniedError
from clearhold.ports.model import Turn
from clearhold.ports.sandbox import Tier
from clearhold.scanning.model import Mode, Versions, make_scope
from clearhold.settings import LEAST_CONTEXT, Settings
from reproduction_bench import CACHE, laboratory, ujson

PACKAGE = "pkg:pypi/ujson"
VERSION = "5.1.0"
KEY = "a-key-of-this-test"
TURNS = 2
BUDGET_S = 600
__all__ = ["laboratory", "ujson"]

pytestmark = [
    pytest.mark.realmodel,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not os.environ.get("CLEARHOLD_TEST_MODEL"),
        reason="a minute of a real model's work: set CLEARHOLD_TEST_MODEL=1",
    ),
    pytest.mark.usefixtures("ujson"),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


@pytest.fixture(scope="module")
def served() -> Iterator[LocalModel]:
    sources = CachedSources(CACHE / "sources", origins=all_origins(CACHE))
    try:
        found = small_model(sources, CACHE)
    except ClearholdError as error:
        pytest.skip(f"no small model: {error.message} {error.next_step}")
    with serving(
        found.library, found.weights, name=NAME, context=LEAST_CONTEXT, key=KEY, threads=1
    ) as model:
        yield model


@pytest.fixture
def hub(
    tmp_path: Path, database: Database, clock: Any, engine: MemoryEngine, served: LocalModel
) -> Hub:
    key = tmp_path / "model-key"
    key.write_text(KEY)
    key.chmod(0o600)
    settings = Settings(
        data_directory=tmp_path / "data",
        key_directory=tmp_path / "keys",
        cache_directory=CACHE,
        least_tier_code=Tier.NAMESPACES,
        model_url=served.address,
        model_name=served.name,
        model_key_file=str(key),
        model_networks=(ip_network("127.0.0.0/8"),),
        model_context=LEAST_CONTEXT,
    )
    return assemble(settings, database=database, clock=clock, engine=engine)


def test_a_real_model_is_led_to_a_defined_end(
    hub: Hub, engine: MemoryEngine, served: LocalModel, party_of: Callable[..., Actor]
) -> None:
    coordinator, lab = party_of(PartyKind.COORDINATOR), party_of(PartyKind.LAB)
    technique = Technique.MODEL_REVIEW
    hub.catalogue.add(coordinator, PACKAGE, versions=(VERSION,), techniques=(technique,))
    scope = make_scope(PACKAGE, versions=Versions(exact=VERSION), paths=(), technique=technique)
    lease = hub.scanning.claim(
        lab,
        scope,
        mode=Mode.EXCLUSIVE,
        window=timedelta(hours=8),
        budget_s=BUDGET_S,
        key="lease",
    ).lease
    identity = hub.discovery.begin(
        lab,
        lease=lease.id,
        fence=lease.fence,
        package=f"{PACKAGE}@{VERSION}",
        target="encode",
        seed=1,
        budget_s=BUDGET_S,
        key="campaign",
        engine="model",
        options={"turns": str(TURNS)},
    )
    engine.run_due()
    view = hub.discovery.get(lab, identity)
    assert view.campaign.state in {"nothing_found", "found"}, view.note
    assert view.campaign.ending in {"budget", "done", "plateau", "found"}
    pieces = hub.discovery.transcript(lab, identity)
    assert transcript.head((each.content, each.digest) for each in pieces) == pieces[-1].digest
    told = [json.loads(each.content) for each in pieces]
    said = [each for each in told if each["kind"] == "said"]
    assert 1 <= len(said) <= TURNS
    assert {each["model"] for each in said} == {NAME}
    (coverage,) = hub.scanning.covering.list(lab)
    assert coverage.lease == lease.id
    networks = (ip_network("127.0.0.0/8"),)
    stranger = OpenAiModel(served.address, NAME, key="another", also=networks)
    with pytest.raises(DeniedError):
        stranger.reply([Turn("user", "Hello")], (), most_tokens=4, within_s=20)
    known = OpenAiModel(served.address, NAME, key=KEY, also=networks)
    assert known.reply([Turn("user", "Hello")], (), most_tokens=4, within_s=20).text
