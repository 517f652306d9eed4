"""`clearhold model demo`: one engagement from the agreement to the signed report, on this machine alone."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from clearhold.adapters.model_local import serving as serving_model
from clearhold.adapters.origins import all_origins
from clearhold.adapters.sources_cache import CachedSources
from clearhold.demo import model_agents, model_finding, model_trials, scripted_endpoint
from clearhold.demo.cast import founded, write_whole
from clearhold.demo.house import House, serving
from clearhold.demo.model_scene import (
    LAB,
    PEOPLE,
    TESTERS,
    VARIANT,
    Access,
    ModelPlace,
    Scene,
)
from clearhold.discovery.agents.small_model import CONTEXT, NAME, small_model
from clearhold.evaluations.call_chain import RecordedCall, broken
from clearhold.evaluations.plan import Registered
from clearhold.evaluations.reporting import closing, document, drafting, page, signed
from clearhold.evaluations.reporting.beside import Beside
from clearhold.evaluations.trials import RecordedRun
from clearhold.kernel.errors import ConflictError, IntegrityError, UnavailableError

MODEL: Final = "aurora-nano"
_REPLY: Final = "The release candidate is small; we have nothing to add to these figures."
_PATIENCE_S: Final = 120.0

Tell = Callable[[str], None]


def tell_story(place: ModelPlace, to: Path, tell: Tell, *, scripted: bool) -> dict[str, Any]:
    """Tell it, and write what comes of it to the directory `to`; returns what was verified."""
    key = f"sk-demo-{secrets.token_hex(16)}"
    lacking = model_agents.missing()
    if lacking:
        tell(f"Tasks will be asked in words, without tools. {lacking}")
    place.begin()
    # Before the hub runs: one that is founded beside it waits for the hub's own work.
    founded(place, PEOPLE)
    with _model(place, key, scripted=scripted) as (address, name):
        tell(f"1. A model is served on this machine: {name}; it asks for a key.")
        with serving(place) as house:
            scene = Scene(place, house)
            try:
                tools = "" if lacking else "native" if scripted else "text"
                return _engagement(scene, (address, name, key), to, tell, tools=tools)
            finally:
                scene.cast.close()


@contextmanager
def _model(place: ModelPlace, key: str, *, scripted: bool) -> Iterator[tuple[str, str]]:
    if scripted:
        with scripted_endpoint.serving(key) as address:
            yield address, scripted_endpoint.NAME
        return
    found = small_model(
        CachedSources(place.cache / "sources", origins=all_origins(place.cache)), place.cache
    )
    with serving_model(found.library, found.weights, name=NAME, context=CONTEXT, key=key) as served:
        yield served.address, served.name


def _engagement(
    scene: Scene, endpoint: tuple[str, str, str], to: Path, tell: Tell, *, tools: str
) -> dict[str, Any]:
    address, name, key = endpoint
    agreement = scene.agree()
    tell("2. The institute offered an agreement and the lab signed the same bytes:")
    tell(f"   {agreement['terms_sha256']}, {agreement['state']}.")
    engagement = scene.engage(agreement["id"], MODEL)
    if tools:
        pack, given = model_trials.sealed(model_agents.templates(), model_agents.EACH)
        known = model_trials.planned(engagement, VARIANT, given, model_agents.BUDGET)
    else:
        pack, given = model_trials.sealed(model_trials.in_words(), model_trials.EACH)
        known = model_trials.planned(engagement, VARIANT, given, model_trials.BUDGET)
    suite = given.suite
    scene.post(TESTERS, engagement, "plan", sha256=known.sha256)
    tell(f"3. A test of {MODEL} was proposed and accepted. {len(suite.entries)} sealed tasks of")
    tell(
        f"   {suite.templates} templates are committed to by {known.plan.suites[0].commitment[:16]}…,"
    )
    tell(f"   the plan is registered by {known.sha256[:16]}….")
    access = scene.give(engagement, address, name, key)
    tell(
        "4. The lab registered its endpoint (the key is sealed) and granted access to one evaluator."
    )
    refused = _status(scene.house, access)
    begun = scene.verify(engagement)["clock"]
    tell(
        f"5. A call before the canary was answered {refused}. The round passed; the clock runs from"
    )
    tell(f"   {begun['began_at']} to {begun['ends_at']}.")
    scene.post(TESTERS, engagement, "acts", act="begin")
    scene.post(LAB, engagement, "switch", off=True)
    tell(
        f"6. With the lab's switch off a call is answered {_status(scene.house, access)}; it is on again."
    )
    scene.post(LAB, engagement, "switch", off=False)
    gateway = (f"{scene.house.address}/gateway/v1", access.token)
    if tools:
        tell("7. Agents with tools, each trial in a box of its own, are run through the gateway:")
        hub = (scene.house.address, scene.cast.token(TESTERS) or "")
        run = model_agents.carried_out(scene.place, gateway, hub, (known, pack), tools=tools)
        for line in model_agents.told(run):
            tell(f"   {line}")
    else:
        tell("7. The sealed tasks are asked through the gateway, in words:")
        asking = model_trials.Asking(*gateway, VARIANT)
        done = list(asking.each(suite, lambda said: tell(f"   {said}")))
        run = model_trials.recorded(done, known, MODEL)
    calls = _calls(scene, access, to)
    tell(f"8. {len(calls)} calls are recorded, each naming the one before; the record verifies.")
    finding = model_finding.hand_over(scene, engagement, run)
    verified = _report(scene, (engagement, known, run), to, tell)
    return verified | {
        "agents": bool(tools),
        "calls": len(calls),
        "finding": _finding(scene, finding, tell),
        "packets_out": sum(each.egress_left for each in run.run.trials),
        "trials": len(run.run.trials),
    }


def _finding(scene: Scene, finding: str, tell: Tell) -> dict[str, str]:
    """What became of the finding that was handed over."""
    tell(
        "11. An exercise: the tested model found no bug. One that is prepared (ujson 5.1.0, public"
    )
    tell("   since 2022, and credited here to a model that did not find it) was handed over.")
    verdict = model_finding.validated(scene, finding)
    tell(f"   It was validated: {verdict['verdict']}, level {verdict['level']}.")
    tell(f"   {verdict['summary']['reason']}")
    case = ""
    if verdict["verdict"].startswith("reproduced"):
        case = model_finding.opened(scene, finding)
        tell(f"   The coordinator opened the case {case}. The evaluator can read none of it.")
    return {"case": case, "verdict": str(verdict["verdict"])}


def _status(house: House, access: Access) -> int:
    """How a call is answered, whatever it is."""
    wish = {"model": VARIANT, "max_tokens": 8, "messages": [{"role": "user", "content": "hello"}]}
    answered = httpx.post(
        f"{house.address}/gateway/v1/chat/completions",
        json=wish,
        headers={"Authorization": f"Bearer {access.token}"},
        trust_env=False,
        timeout=120,
    )
    return answered.status_code


def _calls(scene: Scene, access: Access, to: Path) -> list[RecordedCall]:
    """The record of calls, checked and written down."""
    found: list[RecordedCall] = []
    address = f"/evaluations/engagements/{access.engagement}/calls"
    while page_ := scene.cast[LAB].get(address, after=str(found[-1].number if found else 0)):
        found += [msgspec.convert(each, RecordedCall) for each in page_]
    head = scene.get(access.engagement, "/gateway", by=LAB)["head"]
    if broken(found) is not None or found[-1].hash.hex() != head:
        raise IntegrityError("The record of calls does not verify.")
    lines = b"".join(msgspec.json.encode(each, order="sorted") + b"\n" for each in found)
    write_whole(to / "calls.jsonl", lines)
    return found


def _report(
    scene: Scene, about: tuple[str, Registered, RecordedRun], to: Path, tell: Tell
) -> dict[str, Any]:
    """Draft, reply, final, log and proof."""
    engagement, known, run = about
    facts = scene.get(engagement, "/report")
    drafted = drafting.draft(
        msgspec.convert(facts["tested"], document.Tested),
        msgspec.convert(facts["access"], document.Access),
        known,
        run,
        {},
        sections=drafting.sections_of(drafting.WORDS),
        plan_sha256=facts["plan_sha256"],
        beside=msgspec.convert(facts["beside"], Beside),
        ended=False,
        at=datetime.now(UTC),
    )
    scene.post(TESTERS, engagement, "draft", report=drafted.content.decode())
    scene.post(LAB, engagement, "reply", text=_REPLY)
    tell("9. The draft was sent and the lab replied; its words go into the report unchanged.")
    signer = scene.key(TESTERS)
    whole, _ = closing.close(
        drafted,
        drafted.report,
        closing.reply_of("replied", _REPLY),
        [],
        {},
        at=datetime.now(UTC),
    )
    envelope = signed.sign(whole, signer).decode()
    scene.post(TESTERS, engagement, "final", report=whole.content.decode(), envelope=envelope)
    packed = _with_proof(scene, engagement)
    write_whole(to / "report.signed.json", packed)
    write_whole(to / "report.html", page.page(whole).encode())
    public = signer.public_key()
    verified = signed.verify(packed, {public.public_bytes_raw().hex(): public}, None)
    tell(f"10. The report is signed and in the log, and verifies without the hub: {to}")
    return {"report_sha256": verified.written.sha256, "directory": str(to)}


def _with_proof(scene: Scene, engagement: str) -> bytes:
    """The signed report with the log's proof, once the log is published that far."""
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        found = scene.get(engagement, "/final")
        if found["leaf"] is not None:
            try:
                proof = scene.cast[TESTERS].get(f"/ledger/leaves/{found['leaf']}/proof")
                return signed.with_proof(found["file"].encode(), proof)
            except ConflictError:
                pass  # the published log does not reach it yet
        time.sleep(0.5)
    raise UnavailableError("The log was not published in time.")
