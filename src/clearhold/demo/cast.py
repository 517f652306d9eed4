"""The parties of the story, their tokens and keys, what they agreed to and what each would see."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from clearhold.delivery.cli import party_key
from clearhold.delivery.client import HubClient
from clearhold.demo.house import House, Place, found_hub
from clearhold.wire import acceptance, dsse, key_holding

CAST: Final = (
    ("aurora-lab", "Aurora AI Lab", "lab", None),
    ("borealis-lab", "Borealis AI Lab", "lab", None),
    ("ines-finder", "Ines, independent finder", "finder", None),
    ("ujson-maintainer", "Maintainers of ujson", "maintainer", None),
    ("st-anna", "St. Anna Hospital", "operator", "healthcare-and-public-health"),
    ("clearwater", "Clearwater Utility", "operator", "water-and-wastewater"),
    ("harbour-bank", "Harbour Bank", "operator", "financial-services"),
)
COORDINATOR: Final = ("hub", "The hub's coordinator")
COORDINATORS: Final = {"hub": "Carla", "second": "Dmitri"}
"""The people of the hub's coordinator: what takes two people takes both."""


class Cast:
    """Everyone in the story, each with a connection of their own."""

    def __init__(
        self,
        place: Place,
        house: House,
        cast: Sequence[tuple[str, str, str, str | None]] = CAST,
        people: Mapping[str, str] = COORDINATORS,
    ) -> None:
        self._cast = cast
        self._people = people
        self._directory = place.root / "tokens"
        self._house = house
        self._connections: dict[str, HubClient] = {}
        self.ids: dict[str, str] = {}
        self.agreed: dict[str, str] = {}

    def register(self, place: Place) -> list[dict[str, Any]]:
        """Register everyone, or find them registered by an earlier, interrupted run."""
        founded(place, self._people)
        coordinator = self[COORDINATOR[0]]
        for party, full_name, kind, sector in self._cast:
            wish = {"handle": party, "name": full_name, "kind": kind, "sector": sector}
            self.ids[party] = coordinator.post("/parties", wish)["id"]
            if self.token(party) is None:
                issued = coordinator.post(f"/parties/{self.ids[party]}/tokens", {"days": 2})
                _keep(self._directory, party, issued["token"])
            self._agree(party)
        found: list[dict[str, Any]] = coordinator.get("/parties")
        return found

    def __getitem__(self, handle: str) -> HubClient:
        if handle not in self._connections:
            self._connections[handle] = self._house.connect(self.token(handle) or "")
        return self._connections[handle]

    def close(self) -> None:
        """End every connection."""
        for connection in self._connections.values():
            connection.close()

    def _agree(self, handle: str) -> None:
        """Let a party accept the agreement for its kind, signed with a key of its own."""
        connection = self[handle]
        mine = next(each for each in connection.get("/agreements") if each["for_you"])
        self.agreed[handle] = f"{mine['name']}, version {mine['version']}"
        if connection.get("/agreements/standing"):
            return
        file = self._directory / f"{handle}.pem"
        key = party_key.load(file) if file.exists() else party_key.make(file)
        connection.post("/parties/keys", key_holding.registration(self.ids[handle], key))
        statement = acceptance.Acceptance(
            self.ids[handle], mine["name"], mine["version"], mine["sha256"], datetime.now(UTC)
        )
        signed = dsse.sign(acceptance.write(statement), acceptance.PAYLOAD_TYPE, key)
        address = f"/agreements/{mine['name']}/acceptance"
        connection.post(address, {"envelope": signed.decode()})

    def token(self, handle: str) -> str | None:
        """A party's token, once it has one."""
        return _kept(self._directory, handle)


def founded(place: Place, people: Mapping[str, str]) -> None:
    """Found the hub, or find it founded: each of its people has a token afterwards."""
    handle, name = COORDINATOR
    directory = place.root / "tokens"
    for one, person in people.items():
        if _kept(directory, one) is None:
            _keep(directory, one, found_hub(place, handle, name, person))


def _kept(directory: Path, handle: str) -> str | None:
    path = directory / handle
    return json.loads(path.read_text())["token"] if path.exists() else None


def _keep(directory: Path, handle: str, token: str) -> None:
    directory.mkdir(exist_ok=True, mode=0o700)
    temporary = directory / f".{handle}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"token": token}, file)
    temporary.replace(directory / handle)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(content)
    temporary.replace(path)
