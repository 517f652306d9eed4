"""A whole story is told in canary words, and none of them stands in what a thief can copy.

The data directory, every row of every table, the task engine's own included, and all that was
logged are searched for the words as they are, in base64 at each of its offsets, and in hexadecimal.
"""

from __future__ import annotations

import base64
import json
import logging
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, inspect, text

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.adapters import engine_dbos
from clearhold.adapters.engine_dbos import DbosEngine
from clearhold.advisories.draft import Draft
from clearhold.assembly.hub import Hub, assemble
from clearhold.cases.model import Role
from clearhold.catalogue.model import Technique
from clearhold.delivery.http.app import make_app
from clearhold.findings.intake import Format
from clearhold.findings.model import State
from clearhold.inventory.model import AssetProfile
from clearhold.kernel.errors import ClearholdError
from clearhold.kernel.ids import FindingId, LeaseId, VulnerabilityId
from clearhold.kernel.purl import Purl
from clearhold.patches.records import Origin
from clearhold.scanning.model import Mode, Versions, make_scope
from clearhold.settings import Settings
from clearhold.wire import cyclonedx
from in_process_http import client_of
from publication_road import draft


@dataclass
class Canaries:
    """Words that stand for secrets; none is in any dictionary."""

    planted: list[str] = field(default_factory=list)

    def word(self, about: str) -> str:
        made = f"zq{about}{len(self.planted):02}xv"
        self.planted.append(made)
        return made

    def found_in(self, content: bytes) -> list[str]:
        lowered = content.lower()
        found = []
        for word in self.planted:
            raw = word.encode()
            forms = [raw, raw.hex().encode()]
            exact = [base64.b64encode(b"\0" * shift + raw)[4:-4] for shift in (0, 1, 2)]
            if any(form in lowered for form in forms) or any(form in content for form in exact):
                found.append(word)
        return found


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


@pytest.fixture
def hub(tmp_path: Path, database: Engine, clock: Any) -> Iterator[Hub]:
    """A hub whose tasks wait in the real engine's own tables."""
    settings = Settings(
        data_directory=tmp_path / "data",
        key_directory=tmp_path / "keys",
        cache_directory=tmp_path / "cache",
    )
    engine = DbosEngine(database, executor="thief", heavy_slots=1)
    engine.migrate()
    yield assemble(settings, database=database, clock=clock, engine=engine)
    engine.stop()


@pytest.fixture
def logged(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> Callable[[], bytes]:
    """All that was logged or printed so far, by the hub and not by the client that asks it."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.WARNING, logger="httpx")

    def told() -> bytes:
        return (caplog.text + "".join(capfd.readouterr())).encode()

    return told


def everything(hub: Hub, database: Engine) -> bytes:
    """All a thief of the data directory and the database gets."""
    taken = []
    with database.connect() as connection:
        looked = inspect(connection)
        names = [
            f'"{schema}"."{table}"'
            for schema in looked.get_schema_names()
            if schema not in {"information_schema", "pg_catalog"}
            for table in looked.get_table_names(schema)
        ]
        for name in names:
            for row in connection.execute(text(f"SELECT * FROM {name}")):  # noqa: S608  # its own
                taken += [_bytes(value) for value in row]
    assert any("workflow" in name for name in names)
    files = [path for path in hub.settings.data_directory.rglob("*") if path.is_file()]
    assert files
    taken += [str(path).encode() + path.read_bytes() for path in files]
    return b"\n".join(taken)


def _bytes(value: object) -> bytes:
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()


class Story:
    """Everything that parties can tell a hub, each word of it secret."""

    def __init__(self, hub: Hub, party_of: Callable[..., Actor], secret: Canaries) -> None:
        self.hub, self.secret = hub, secret
        self.coordinator = party_of(PartyKind.COORDINATOR)
        self.lab = party_of(PartyKind.LAB)
        self.vendor = party_of(PartyKind.MAINTAINER, "vendor-one")
        self.operator = party_of(PartyKind.OPERATOR)
        self.package = secret.word("package")

    def lease(self) -> tuple[LeaseId, int]:
        word = self.secret.word
        scope = make_scope(
            f"pkg:pypi/{self.package}",
            versions=Versions(exact="1.0"),
            paths=(f"lib/{word('path')}.c", f"{word('folder')}/**"),
            technique=Technique.FUZZING,
        )
        claimed = self.hub.scanning.claim(
            self.lab,
            scope,
            mode=Mode.EXCLUSIVE,
            window=timedelta(hours=8),
            budget_s=600,
            key=word("leasekey"),
        )
        return claimed.lease.id, claimed.lease.fence

    def finding(self, form: Format) -> FindingId:
        word = self.secret.word
        lease, fence = self.lease() if form is Format.CLEARHOLD_JSON else (None, None)
        package = f"pkg:pypi/{self.package}@1.0"
        if form is Format.CLEARHOLD_JSON:
            content: Any = {
                "schema": "clearhold-finding/1",
                "package": package,
                "title": word("title"),
                "description": f"It {word('description')} a lot.",
                "weakness": "CWE-121",
                "target": word("target"),
                "claim": {"kind": "crash", "signature": [word("frame"), word("frame")]},
                "proof": base64.b64encode(word("proof").encode() * 3).decode(),
                "patch": f"--- a/{word('file')}.c\n+++ b/x.c\n@@ -1 +1 @@\n-a\n+{word('line')}\n",
                "tests": f"--- a/t.c\n+++ b/{word('test')}.c\n@@ -1 +1 @@\n-a\n+b\n",
                "references": [f"https://example.org/{word('reference')}"],
            }
        elif form is Format.SARIF:
            place = {
                "physicalLocation": {
                    "artifactLocation": {"uri": f"src/{word('sariffile')}.c"},
                    "region": {"startLine": 3, "snippet": {"text": word("snippet")}},
                },
                "logicalLocations": [{"fullyQualifiedName": word("function")}],
            }
            result = {
                "ruleId": word("rule"),
                "message": {"text": word("message")},
                "locations": [place],
                "partialFingerprints": {"primary": word("fingerprint")},
            }
            driver = {"driver": {"name": word("tool")}}
            content = {"version": "2.1.0", "runs": [{"tool": driver, "results": [result]}]}
        else:
            content = f"{word('words')} in {word('prose')}\n\n{word('more')}"
        raw = content if isinstance(content, str) else json.dumps(content)
        receipt = self.hub.findings.submit(
            self.lab,
            raw.encode(),
            form=form,
            key=word("submissionkey"),
            package="" if form is Format.CLEARHOLD_JSON else package,
            lease=lease,
            fence=fence,
        )
        return FindingId(receipt.findings[0].finding)

    def case(self, finding: FindingId) -> None:
        hub, word = self.hub, self.secret.word
        with hub.sessions.transaction() as unit:
            hub.findings.index_signature(unit, finding, [word("stackframe"), word("stackframe")])
            hub.findings.set_verdict(
                unit, finding, state=State.REPRODUCED, verdict="reproduced", level=3
            )
            until = unit.now + timedelta(days=30)
        case = hub.cases.open(
            self.coordinator, VulnerabilityId(finding), title=word("casetitle"), key=word("casekey")
        ).id
        hub.readers.read_in(
            self.coordinator, case, "vendor-one", role=Role.VENDOR, tier=1, reason="maintains it"
        )
        hub.embargoes.propose(self.coordinator, case, until=until, terms=word("terms"))
        hub.cases.say(self.vendor, case, word("saying"), key=word("saykey"))
        hub.patches.submit(
            self.vendor,
            case,
            f"--- a/{word('fixfile')}.c\n+++ b/f.c\n@@ -1 +1 @@\n-{word('old')}\n+b\n".encode(),
            origin=Origin.MAINTAINER,
            note=word("note"),
            key=word("patchkey"),
        )
        told: Draft = draft(
            title=word("advisorytitle"),
            summary=word("summary"),
            details=word("details"),
            package=f"pkg:pypi/{self.package}",
            vendor=word("vendorname"),
        )
        hub.advisories.draft(self.coordinator, case, told, key=word("advisorykey"))
        for actor in (self.coordinator, self.lab, self.vendor):
            hub.cases.get(actor, case)
            hub.cases.messages(actor, case)

    def inventory(self) -> None:
        word = self.secret.word
        document = cyclonedx.write(
            [Purl.parse(f"pkg:pypi/{word('component')}@1.0")],
            name=word("system"),
            serial_number=uuid.uuid4(),
            now=self.hub_now(),
        )
        self.hub.inventories.upload(
            self.operator,
            name=word("inventory"),
            document=document,
            profile=AssetProfile(),
            key=word("inventorykey"),
        )

    def hub_now(self) -> Any:
        with self.hub.sessions.transaction() as unit:
            return unit.now


def test_no_canary_of_a_whole_story_stands_in_what_can_be_stolen(
    hub: Hub,
    database: Engine,
    party_of: Callable[..., Actor],
    canaries: Canaries,
    logged: Callable[[], bytes],
) -> None:
    story = Story(hub, party_of, canaries)
    findings = [story.finding(form) for form in (Format.CLEARHOLD_JSON, Format.SARIF, Format.TEXT)]
    story.case(findings[0])
    story.inventory()
    assert len(canaries.planted) > 45
    stolen = everything(hub, database)
    assert findings[0].encode() in stolen
    assert canaries.found_in(stolen) == []
    assert canaries.found_in(logged()) == []


def test_the_search_would_find_them() -> None:
    canaries = Canaries()
    word = canaries.word("proof")
    for written in (
        word.upper().encode(),
        base64.b64encode(b"abcd" + word.encode() + b"efghi"),
        base64.b64encode(b"abcde" + word.encode() + b"efghi"),
        base64.b64encode(b"abcdef" + word.encode() + b"efghi"),
        word.encode().hex().encode(),
    ):
        assert canaries.found_in(written) == [word], written


def test_what_is_refused_or_breaks_leaves_no_canary_in_the_log(
    hub: Hub,
    party_of: Callable[..., Actor],
    canaries: Canaries,
    logged: Callable[[], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lab = party_of(PartyKind.LAB)
    with hub.sessions.transaction() as unit:
        token = hub.tokens.issue(unit, lab.principal, life=timedelta(days=1), by="test").secret
    client = client_of(make_app(hub), {"Authorization": f"Bearer {token}", "Idempotency-Key": "k"})
    answers = [
        client.post("/api/v1/findings", json={"format": "text", "content": canaries.word("bad")}),
        client.post("/api/v1/findings", content=canaries.word("raw").encode() + b"{"),
        client.get(f"/api/v1/findings/{canaries.word('id')}"),
        client.get(f"/api/v1/{canaries.word('address')}"),
    ]

    def broken(*_: object, **__: object) -> None:
        raise ValueError(canaries.word("inside"))

    monkeypatch.setattr(type(hub.findings), "list", broken)
    answers.append(client.get("/api/v1/findings"))
    assert [answer.status_code for answer in answers] == [422, 422, 404, 404, 500]
    told = logged()
    assert b"ValueError at" in told
    assert canaries.found_in(told + b"".join(each.content for each in answers)) == []


def test_a_task_that_breaks_stores_the_kind_of_its_trouble_and_not_its_words(
    canaries: Canaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_arguments: object) -> None:
        raise ValueError(canaries.word("task"))

    def refused(_arguments: object) -> None:
        raise ClearholdError("a sentence for people")

    monkeypatch.setitem(engine_dbos._flows, "broken", broken)
    monkeypatch.setitem(engine_dbos._flows, "refused", refused)
    step = engine_dbos._run
    with pytest.raises(engine_dbos.UnforeseenError, match="ValueError at") as told:
        step("broken", {})
    assert canaries.found_in(str(told.value).encode()) == []
    assert told.value.__suppress_context__
    with pytest.raises(ClearholdError, match="a sentence"):
        step("refused", {})
