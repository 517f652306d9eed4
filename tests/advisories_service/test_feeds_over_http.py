"""What the public can fetch without a token, and that it is nothing before publication."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import jsonschema_rs
import pytest
from fastapi.routing import APIRoute

from clearhold.access.permissions import Permission
from clearhold.adapters.publisher_tuf import TufPublisher
from clearhold.advisories.flows import Publication
from clearhold.advisories.service import PUBLISH, Notice
from clearhold.agent.state import AgentState
from clearhold.agent.sync import enrol, sync
from clearhold.delivery.http import advisories, feeds, inventory, remediation
from clearhold.delivery.http.declare import PUBLIC, declared
from clearhold.settings import Settings
from publication_road import WHEEL, Caller, Road, caller_of

WEEK = timedelta(days=7)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_directory=tmp_path / "data", key_directory=tmp_path / "keys")


@pytest.fixture
def tuf(settings: Settings) -> TufPublisher:
    return TufPublisher(settings.repository_directory, settings.key_directory / "tuf")


@pytest.fixture
def published_for_real(road: Road, tuf: TufPublisher) -> Road:
    tuf.initialise(road.clock.now())
    publication = Publication(
        road.sessions, road.publication._dossiers, publisher=tuf, clock=road.clock
    )
    road.engine.register(PUBLISH, publication.publish)
    return road


@pytest.fixture
def client(published_for_real: Road, settings: Settings) -> Caller:
    return caller_of(published_for_real, settings)


def publish(road: Road) -> Notice:
    notice = road.scheduled(road.case())
    road.clock.advance(WEEK)
    road.engine.run_due()
    return notice


@pytest.mark.parametrize("module", [feeds, advisories, inventory, remediation])
def test_every_route_declares_who_may_call_it(module: ModuleType) -> None:
    routes = [route for route in module.router.routes if isinstance(route, APIRoute)]
    assert routes
    known = {PUBLIC} if module is feeds else set(Permission)
    assert {declared(route) for route in routes} <= known


def test_the_feeds_hold_nothing_before_publication(
    client: Caller, published_for_real: Road
) -> None:
    notice = published_for_real.scheduled(published_for_real.case())
    base = "/.well-known/csaf"
    assert client.get(f"{base}/index.txt").text == ""
    assert client.get(f"{base}/changes.csv").text == ""
    assert client.get("/osv/modified_id.csv").text == ""
    assert zipfile.ZipFile(io.BytesIO(client.get("/osv/all.zip").content)).namelist() == []
    listed = client.get("/tuf/metadata/1.targets.json").json()["signed"]["targets"]
    assert listed == {}
    name = notice.public_id.lower()
    hidden = (f"{base}/2026/{name}.json", f"/osv/x_{notice.public_id}.json")
    for path, never in zip(
        hidden, (f"{base}/2026/ch-none.json", "/osv/x_CH-NONE.json"), strict=True
    ):
        assert client.get(path).json() == client.get(never).json()
        assert client.get(path).status_code == 404


def test_a_reader_finds_every_document_with_its_hashes(
    client: Caller, published_for_real: Road
) -> None:
    publish(published_for_real)
    base = "/.well-known/csaf"
    (path,) = client.get(f"{base}/index.txt").text.split()
    document = client.get(f"{base}/{path}")
    assert document.json()["document"]["tracking"]["status"] == "final"
    assert path in client.get(f"{base}/").text
    ((changed, when),) = csv.reader(io.StringIO(client.get(f"{base}/changes.csv").text))
    assert changed == path
    assert when == document.json()["document"]["tracking"]["current_release_date"]
    for kind in ("sha256", "sha512"):
        digest, name = client.get(f"{base}/{path}.{kind}").text.split()
        assert digest == hashlib.new(kind, document.content).hexdigest()
        assert name == path.split("/")[1]
    again = client.get(f"{base}/{path}", headers={"If-None-Match": document.headers["etag"]})
    assert again.status_code == 304
    ((_, identity),) = csv.reader(io.StringIO(client.get("/osv/modified_id.csv").text))
    record = client.get(f"/osv/{identity}.json")
    archive = zipfile.ZipFile(io.BytesIO(client.get("/osv/all.zip").content))
    assert archive.read(f"{identity}.json") == record.content


def test_provider_metadata_follows_its_schema(client: Caller, shared: Path) -> None:
    schema = json.loads((shared / "schemas/csaf-2.0/provider_json_schema.json").read_text())
    csaf = json.loads((shared / "schemas/csaf-2.0/csaf_json_schema.json").read_text())
    # The schema names parts of the CSAF schema by address; they are put in by hand.
    text = json.dumps(schema).replace(f"{csaf['$id']}#/", "#/csaf/")
    whole = json.loads(text) | {"csaf": csaf}
    answer = client.get("/.well-known/csaf/provider-metadata.json").json()
    jsonschema_rs.validate(whole, answer)


def test_published_documents_follow_their_schemas(
    client: Caller, published_for_real: Road, shared: Path
) -> None:
    notice = publish(published_for_real)
    for kind in ("osv", "openvex"):
        schema = json.loads((shared / f"schemas/{kind}.schema.json").read_text())
        listed = client.get("/tuf/metadata/2.targets.json").json()["signed"]["targets"]
        path = f"advisories/{notice.public_id}/{kind}.json"
        digest = listed[path]["hashes"]["sha256"]
        found = client.get(f"/tuf/targets/advisories/{notice.public_id}/{digest}.{kind}.json")
        jsonschema_rs.validate(schema, found.json())


def test_an_agent_that_pinned_the_root_gets_the_patch(
    client: Caller, published_for_real: Road, settings: Settings, tmp_path: Path
) -> None:
    notice = publish(published_for_real)
    now = published_for_real.clock.now()
    root = tmp_path / "root.json"
    root.write_bytes(client.get("/tuf/metadata/1.root.json").content)
    state = AgentState(tmp_path / "agent")
    published_copy = f"file://{settings.repository_directory}"
    enrol(state, repository=published_copy, operator="utility", root=root, now=now)
    bundle = sync(state, now).bundle
    assert bundle is not None
    (entry,) = bundle.advisories
    assert entry.id == notice.public_id
    target = entry.remedies[0].artefact
    directory, name = target.path.rsplit("/", 1)
    served = client.get(f"/tuf/targets/{directory}/{target.sha256}.{name}")
    assert served.content == WHEEL


WAYS_OUT: list[str] = [
    "../../keys/tuf/root.pem",
    "%2e%2e/%2e%2e/keys/tuf/root.pem",
    "..%2f..%2fkeys%2ftuf%2froot.pem",
    "/etc/passwd",
    ".partial-0",
    "1.root.json%00",
    "link.json",
    "",
]


def test_no_path_leads_out_of_the_repository(
    client: Caller, settings: Settings, subtests: pytest.Subtests
) -> None:
    metadata = settings.repository_directory / "metadata"
    (metadata / ".partial-0").write_text("not released yet")
    (metadata / "link.json").symlink_to(settings.key_directory / "tuf" / "root.pem")
    for path in WAYS_OUT:
        with subtests.test(path=path):
            answer = client.get(f"/tuf/metadata/{path}")
            assert answer.status_code == 404
            assert b"PRIVATE" not in answer.content


def test_a_draft_is_written_over_http_by_those_who_may(
    client: Caller, published_for_real: Road
) -> None:
    road = published_for_real
    case = road.case()
    issued = road.parties.issue_token(
        road.coordinator,
        road.coordinator.party,
        life=timedelta(days=1),
        member=road.coordinator.principal,
    )
    bearer = {"Authorization": f"Bearer {issued.secret}", "Idempotency-Key": "one"}
    body = {
        "case": case,
        "title": "Overflow",
        "summary": "A buffer overflows.",
        "details": "A buffer overflows.",
        "package": "pkg:pypi/ujson",
        "vendor": "ultrajson",
        "ecosystem": "PyPI",
        "ranges": [{"introduced": "0", "fixed": "5.4.0"}],
        "facts": {
            "exploitation": "none",
            "exploitation_source": "no reports",
            "automatable": "unknown",
            "automatable_source": "not looked at",
            "technical_impact": "partial",
            "technical_impact_source": "the case's evidence",
        },
    }
    keyless = {"Authorization": bearer["Authorization"]}
    assert client.post("/api/v1/advisories", json=body, headers=keyless).status_code == 422
    anonymous = client.post("/api/v1/advisories", json=body, headers={"Idempotency-Key": "one"})
    assert anonymous.status_code == 401
    made = client.post("/api/v1/advisories", json=body, headers=bearer)
    assert made.status_code == 201
    assert client.post("/api/v1/advisories", json=body, headers=bearer).json() == made.json()
    identity = made.json()["id"]
    read = client.get(f"/api/v1/advisories/{identity}/draft", headers=bearer).json()
    assert read["ranges"] == [{"introduced": "0", "fixed": "5.4.0", "last_affected": None}]
    preview = client.get(f"/api/v1/advisories/{identity}/preview", headers=bearer).json()
    assert set(preview["documents"]) == {"csaf", "osv", "openvex"}
    early = client.post(
        f"/api/v1/advisories/{identity}/publication", json={"reason": "now"}, headers=bearer
    )
    assert (early.status_code, early.json()["code"]) == (409, "conflict")
    scheduled = client.post(f"/api/v1/advisories/{identity}/schedule", headers=bearer).json()
    assert scheduled["state"] == "scheduled"
    assert client.get("/api/v1/advisories", headers=bearer).json() == [scheduled]
