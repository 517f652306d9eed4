"""An enrolled agent, an environment with the flawed package, and the hub they hear from."""

import json
import shutil
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_hub import START, StillClock, TinyHub, install, wheel

from clearhold.adapters.publisher_tuf import TufPublisher
from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox
from clearhold.agent.state import AgentState
from clearhold.agent.sync import enrol, sync
from clearhold.agent.upgrade import Agent
from clearhold.ports.sandbox import Tier


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def hub(tmp_path: Path) -> TinyHub:
    place = tmp_path / "hub"
    publisher = TufPublisher(place / "repository", place / "keys")
    publisher.initialise(START)
    return TinyHub(place, publisher)


@pytest.fixture
def state(tmp_path: Path, hub: TinyHub) -> AgentState:
    """An agent that is enrolled and has synced nothing yet."""
    made = AgentState(tmp_path / "agent")
    root = tmp_path / "root-from-a-letter.json"
    root.write_bytes(hub.publisher.trusted_root())
    enrol(made, repository=str(hub.repository), operator="waterworks", root=root, now=START)
    return made


@pytest.fixture(scope="session")
def bare_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bare") / "venv"
    venv.create(path, with_pip=False, symlinks=True)
    return path


@pytest.fixture
def environment(bare_environment: Path, tmp_path: Path) -> Path:
    """A virtual environment that holds the flawed version."""
    path = tmp_path / "venv"
    shutil.copytree(bare_environment, path, symlinks=True)
    install(path, wheel(version="1.5"))
    return path


@pytest.fixture(scope="session")
def sandbox() -> Iterator[BubblewrapSandbox]:
    with BubblewrapSandbox(slots=1) as made:
        if made.tier() is Tier.NONE:
            pytest.skip("no sandbox on this machine: " + json.dumps(str(made.report())))
        yield made


@pytest.fixture
def reachable(tmp_path: Path) -> Path:
    """The sandbox's own user must be able to enter pytest's directories above an environment."""
    top = Path(tempfile.gettempdir()).resolve()
    for place in (tmp_path, *tmp_path.parents):
        if top in place.parents:
            place.chmod(place.stat().st_mode | 0o011)
    return tmp_path


@pytest.fixture
def agent(state: AgentState, hub: TinyHub, clock: StillClock) -> Agent:
    """An agent without a sandbox that has synced the tiny hub's first release."""
    hub.release()
    sync(state, clock.now())
    return Agent(state, clock, None)
