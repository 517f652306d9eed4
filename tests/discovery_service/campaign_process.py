"""A hub with one campaign in a process of its own, for a test to start, to kill and to start again.

Run as `campaign_process.py PLACE CACHE`. The first run founds the hub at PLACE and begins a campaign there, under a
lease; every run works until that campaign has ended and prints what came of it. Once a round was handed
out in a later run, the campaign's party stops it.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

from agreeing import agree
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub, open_hub
from clearhold.catalogue.model import Technique
from clearhold.kernel.ids import DiscoveryId
from clearhold.ledger.records import leaves
from clearhold.ports.sandbox import Tier
from clearhold.scanning.model import Mode, Versions, make_scope
from clearhold.settings import Settings

PACKAGE = "pkg:pypi/ujson"
VERSION = "5.1.0"
BUDGET_S = 120


def main(place: Path, cache: Path) -> None:
    settings = Settings(
        data_directory=place / "data",
        key_directory=place / "keys",
        cache_directory=cache,
        least_tier_code=Tier.NAMESPACES,
        executor="one",
    )
    noted = place / "noted.json"
    again = noted.exists()
    with open_hub(settings, work=True) as hub:
        if not again:
            noted.write_text(json.dumps(begun(hub)))
        campaign, token = json.loads(noted.read_text())
        lab = hub.authenticate(token)
        print(json.dumps(ended(hub, lab, DiscoveryId(campaign), stop=again)), flush=True)  # noqa: T201


def begun(hub: Hub) -> tuple[str, str]:
    """A new hub's first campaign, and its party's token."""
    life = timedelta(days=1)
    _, issued = hub.parties.found_hub(handle="hub", name="Hub", person="Ada", life=life)
    founder = hub.authenticate(issued.secret)
    party = hub.parties.register(founder, handle="lab", name="Lab", kind=PartyKind.LAB)
    token = hub.parties.issue_token(founder, party.id, life=life).secret
    agree(hub.parties, hub.agreements, hub.authenticate(token), hub.clock.now())
    lab = hub.authenticate(token)
    hub.catalogue.add(founder, PACKAGE, versions=(VERSION,), techniques=(Technique.FUZZING,))
    scope = make_scope(
        PACKAGE, versions=Versions(exact=VERSION), paths=(), technique=Technique.FUZZING
    )
    lease = hub.scanning.claim(
        lab,
        scope,
        mode=Mode.EXCLUSIVE,
        window=timedelta(hours=8),
        budget_s=BUDGET_S,
        key="lease",
    ).lease
    campaign = hub.discovery.begin(
        lab,
        lease=lease.id,
        fence=lease.fence,
        package=f"{PACKAGE}@{VERSION}",
        target="encode",
        seed=None,
        budget_s=BUDGET_S,
        key="campaign",
        options={"until": "budget"},
    )
    return campaign, token


def ended(hub: Hub, lab: Actor, identity: DiscoveryId, *, stop: bool) -> dict[str, object]:
    """What came of the campaign, once it is over."""
    (first,) = hub.discovery.list(lab)
    known = first
    while known.ended_at is None:
        time.sleep(0.2)
        (known,) = hub.discovery.list(lab)
        if stop and known.spent_s > first.spent_s:
            hub.discovery.stop(lab, identity)
    view = hub.discovery.get(lab, identity)
    with hub.sessions.transaction() as unit:
        told = [each.action for each in leaves(unit.connection)]
    return {
        "state": known.state,
        "ending": known.ending,
        "spent_s": known.spent_s,
        "executions": known.executions,
        "crash": known.crash,
        "standings": [each.standing for each in view.crashes],
        "signatures": len({each.signature for each in view.crashes}),
        "coverage": len(hub.scanning.covering.list(lab)),
        "ends": told.count("discovery:campaign:end"),
        "inputs": len(hub.discovery.corpus(lab, identity)),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
