"""A process that leases, stops and goes on, and says of each act that it lasts; for killing.

python live_process.py DATABASE-URL DIRECTORY INSTANT LAB LAB-PRINCIPAL OWNER OWNER-PRINCIPAL ROUND
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path

from scan_scene import another_process

from clearhold.access.model import Actor
from clearhold.access.permissions import PERMISSIONS, PartyKind
from clearhold.catalogue.model import Technique
from clearhold.kernel.ids import PartyId, PrincipalId
from clearhold.scanning.live_scope import make_live_scope
from clearhold.scanning.model import Mode
from clearhold.store.database import open_engine

SHOP = "https://shop.water.example/"
ADDRESS = "host:203.0.113.9:443"
DOMAIN = "domain:*.water.example"


def tell(act: str, identity: str) -> None:
    """Say that an act is done, at once."""
    sys.stdout.write(f"{act} {identity}\n")
    sys.stdout.flush()


def actor(kind: PartyKind, party: str, principal: str) -> Actor:
    """Who acts."""
    return Actor(PrincipalId(principal), PartyId(party), kind, PERMISSIONS[kind])


def main() -> None:
    """Lease, keep, show a passport, be stopped, acknowledge, and again until killed."""
    url, directory, instant, lab_party, lab_name, owner_party, owner_name, number = sys.argv[1:]
    hub = another_process(Path(directory), open_engine(url), datetime.fromisoformat(instant))
    lab = actor(PartyKind.LAB, lab_party, lab_name)
    owner = actor(PartyKind.OPERATOR, owner_party, owner_name)
    live = hub.live
    for turn in range(8):
        for stop in live.emergency.list(owner):
            if stop.lifted_at is None:
                live.emergency.lift(owner, stop.id)
                tell("lift", stop.id)
        for notice in live.emergency.notices(lab):
            live.emergency.acknowledge(lab, notice.id)
            tell("acknowledge", notice.id)
        for each, target in enumerate((SHOP, ADDRESS)):
            held = live.leases.claim(
                lab,
                make_live_scope((target,), technique=Technique.DYNAMIC),
                mode=Mode.NOTIFY_ONLY,
                window=timedelta(hours=4),
                budget_s=60,
                key=f"{number}-{turn}-{each}",
            ).lease
            tell("claim", held.id)
            issued = live.passports.issue(
                lab, held.id, fence=held.fence, sources=("198.51.100.7",), life=timedelta(hours=1)
            )
            tell("passport", issued.id)
            live.leases.heartbeat(lab, held.id, fence=held.fence)
            tell("heartbeat", held.id)
        tell("stop", live.emergency.stop(owner, (DOMAIN, ADDRESS), reason="pumps fail").id)


if __name__ == "__main__":
    main()
