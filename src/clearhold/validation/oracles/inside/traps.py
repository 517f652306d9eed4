"""The traps of each oracle: canaries laid before a run, and what their state says after it.

Part of the watcher, and like it of the standard library alone. `AREA` is the whole of what traps lie
in; targets start in `INSIDE` and have no business anywhere else in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import socket
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Told = tuple[str, str]
"""What was seen: its kind, and the detail in words."""

AREA = Path("/work/area")
INSIDE = AREA / "inside"
CANARY = "clearhold-canary"
MODULE = "clearhold_canary"
PORT = 8077
NONCE = AREA / "outside" / "nonce"
MOST_SHOWN = 64


class Trap:
    """A trap that lays nothing and sees nothing."""

    def set(self) -> dict[str, str]:
        """Lay the canaries; what the target's environment needs to know of them."""
        return {}

    def rewrite(self, proof: bytes) -> bytes:
        """The proof as the target gets it."""
        return proof

    def look(self, told: Sequence[Told], shown: Sequence[bytes]) -> list[Told]:
        """What was sprung, given what the interpreter's part told and what the target showed."""
        raise NotImplementedError


class Answering(Trap):
    """A canary that answers with a hash of what lies in a file, so that only code can answer.

    A proof that merely writes files cannot make up the answer: the nonce is drawn anew each run.
    """

    kind = ""

    def __init__(self) -> None:
        self.nonce = secrets.token_bytes(32)

    def set(self) -> dict[str, str]:
        NONCE.write_bytes(self.nonce)
        return {}

    def answered(self) -> bool:
        """Whether the right answer stands where the canary leaves it."""
        path = AREA / "answers" / self.kind
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                return False
            content = path.read_bytes()[:64]
        except OSError:
            return False
        return secrets.compare_digest(content, hashlib.sha256(self.nonce).hexdigest().encode())


class Command(Answering):
    """A command of the canary's name was carried out, by whatever way."""

    kind = "command"

    def set(self) -> dict[str, str]:
        super().set()
        program = AREA / "bin" / CANARY
        program.write_text(
            f"#!/bin/sh\n/usr/bin/sha256sum <{NONCE} >{AREA}/answers/command\n", encoding="ascii"
        )
        program.chmod(0o755)
        return {"PATH": f"{AREA}/bin:/usr/bin:/bin"}

    def look(self, told: Sequence[Told], shown: Sequence[bytes]) -> list[Told]:
        del shown
        if not self.answered():
            return []
        ways = [detail for kind, detail in told if kind == "command"]
        return [("command", f"{CANARY} was run{f' by {ways[0]}' if ways else ''}")]


class Import(Answering):
    """A module of the canary's name was imported, and its code ran."""

    kind = "import"

    def set(self) -> dict[str, str]:
        super().set()
        module = AREA / "modules" / f"{MODULE}.py"
        module.write_text(
            "import hashlib\n"
            f"with open({str(NONCE)!r}, 'rb') as nonce, open('{AREA}/answers/import', 'w') as answer:\n"
            "    answer.write(hashlib.sha256(nonce.read()).hexdigest())\n",
            encoding="ascii",
        )
        path = os.environ.get("PYTHONPATH", "")
        return {"PYTHONPATH": f"{path}:{AREA}/modules" if path else f"{AREA}/modules"}

    def look(self, told: Sequence[Told], shown: Sequence[bytes]) -> list[Told]:
        del shown
        noted = any(kind == "import" for kind, _ in told)
        return [("import", f"{MODULE} was imported")] if noted and self.answered() else []


class Evaluation(Trap):
    """A function that only the interpreter's part put among the builtins was called."""

    def look(self, told: Sequence[Told], shown: Sequence[bytes]) -> list[Told]:
        del shown
        return [("eval", f"{MODULE}() was called") for kind, _ in told if kind == "eval"][:1]


class File(Trap):
    """The interpreter was asked to open, change or remove the canary file."""

    def set(self) -> dict[str, str]:
        (AREA / "outside" / CANARY).write_text(secrets.token_hex(16), encoding="ascii")
        return {}

    def look(self, told: Sequence[Told], shown: Sequence[bytes]) -> list[Told]:
        del shown
        return [("file", detail) for kind, detail in told if kind == "file"][:1]


class Pollution(Trap):
    """A prototype that every object has gained or changed a property."""

    def look(self, told: Sequence[Told], shown: Sequence[bytes]) -> list[Told]:
        del shown
        found = [detail for kind, detail in told if kind == "pollution"][:1]
        return [(f"pollution {name}", f"{name} was changed") for name in found]


class PathEscape(Trap):
    """Something was made, changed or removed outside the directory the target works in."""

    def set(self) -> dict[str, str]:
        (AREA / "outside" / CANARY).write_text(secrets.token_hex(16), encoding="ascii")
        self.before = dict(self._outside())
        return {}

    def look(self, told: Sequence[Told], shown: Sequence[bytes]) -> list[Told]:
        del told, shown
        after = dict(self._outside())
        for path in sorted(set(self.before) | set(after)):
            if self.before.get(path) == after.get(path):
                continue
            how = (
                "created" if path not in self.before else "changed" if path in after else "removed"
            )
            return [(f"path-escape {how}", f"{path} was {how}")]
        return []

    @staticmethod
    def _outside() -> Iterator[tuple[str, tuple[int, str]]]:
        """Whatever lies beyond `INSIDE`; of /tmp, where targets may write, the canary alone."""
        work = Path("/work")
        for directory, names, files in os.walk(work):
            here = Path(directory)
            if here == INSIDE:
                names.clear()
                continue
            for name in (*names, *files):
                yield _state(here / name)
        for path in (Path("/tmp", CANARY), Path("/dev/shm", CANARY), Path("/out", CANARY)):
            if os.path.lexists(path):
                yield _state(path)


class Secret(Trap):
    """A secret that the target may not show was shown: from a file, or from its environment."""

    def set(self) -> dict[str, str]:
        self.secrets = {"file": secrets.token_hex(20), "environment": secrets.token_hex(20)}
        (AREA / "outside" / "secret").write_text(self.secrets["file"], encoding="ascii")
        return {"CLEARHOLD_SECRET": self.secrets["environment"]}

    def look(self, told: Sequence[Told], shown: Sequence[bytes]) -> list[Told]:
        del told
        return [
            (f"secret {place}", f"the secret of the {place} was shown")
            for place, secret in self.secrets.items()
            if any(secret.encode() in each for each in shown)
        ][:1]


class Request(Trap):
    """A request for the canary reached a server that the target has no business with."""

    def set(self) -> dict[str, str]:
        self.asked: list[bytes] = []
        self.listeners = [_listener(socket.AF_INET, "127.0.0.1")]
        with contextlib.suppress(OSError):
            self.listeners.append(_listener(socket.AF_INET6, "::1"))
        for listener in self.listeners:
            threading.Thread(target=self._serve, args=(listener,), daemon=True).start()
        return {}

    def _serve(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(2.0)
                heard = b""
                try:
                    while len(heard) < 4096 and b"\r\n\r\n" not in heard:
                        piece = connection.recv(4096)
                        if not piece:
                            break
                        heard += piece
                    connection.sendall(
                        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
                    )
                except OSError:
                    pass
                if len(self.asked) < MOST_SHOWN:
                    self.asked.append(heard)

    def look(self, told: Sequence[Told], shown: Sequence[bytes]) -> list[Told]:
        del told, shown
        for heard in self.asked:
            if CANARY.encode() in heard:
                line = heard.split(b"\r\n", 1)[0].decode("ascii", "backslashreplace")
                return [("request", f"the canary's server was asked: {line[:120]}")]
        return []


class Sql(Trap):
    """Rows that a query may not give were shown, or what it may not change was changed."""

    rows = (("apple", "public"), ("pear", "public"))

    def set(self) -> dict[str, str]:
        self.hidden = (secrets.token_hex(20), secrets.token_hex(20))
        self.path = AREA / "canary.db"
        with sqlite3.connect(self.path) as database:
            database.execute("CREATE TABLE items(name TEXT, owner TEXT)")
            database.execute("CREATE TABLE vault(secret TEXT)")
            database.executemany(
                "INSERT INTO items VALUES(?, ?)", (*self.rows, (self.hidden[0], "hidden"))
            )
            database.execute("INSERT INTO vault VALUES(?)", (self.hidden[1],))
        database.close()
        return {"CLEARHOLD_DATABASE": str(self.path)}

    def look(self, told: Sequence[Told], shown: Sequence[bytes]) -> list[Told]:
        del told
        if any(secret.encode() in each for secret in self.hidden for each in shown):
            return [("sql read", "rows that the query may not give were shown")]
        return (
            [] if self._kept() else [("sql changed", "what the query may not change was changed")]
        )

    def _kept(self) -> bool:
        """Whether tables and rows are as they were, but for more of the public rows."""
        try:
            if not stat.S_ISREG(self.path.lstat().st_mode):
                return False
            database = sqlite3.connect(self.path)
            try:
                database.execute("PRAGMA trusted_schema=OFF")
                made = database.execute("SELECT type, name FROM sqlite_schema ORDER BY name")
                if made.fetchall() != [("table", "items"), ("table", "vault")]:
                    return False
                vault = database.execute("SELECT secret FROM vault").fetchall()
                items = database.execute("SELECT name, owner FROM items LIMIT 10000").fetchall()
            finally:
                database.close()
        except (OSError, sqlite3.Error):
            return False
        expected = {*self.rows, (self.hidden[0], "hidden")}
        private = [row for row in items if row[1] != "public"]
        return (
            vault == [(self.hidden[1],)]
            and expected <= set(items)
            and private == [(self.hidden[0], "hidden")]
        )


class Template(Trap):
    """The product of two numbers drawn for this run was shown, so something multiplied them."""

    def __init__(self) -> None:
        self.factors = [10_000 + secrets.randbelow(90_000) for _ in range(2)]

    def rewrite(self, proof: bytes) -> bytes:
        for name, factor in zip((b"CLEARHOLD_A", b"CLEARHOLD_B"), self.factors, strict=True):
            proof = proof.replace(name, str(factor).encode())
        return proof

    def look(self, told: Sequence[Told], shown: Sequence[bytes]) -> list[Told]:
        del told
        product = str(self.factors[0] * self.factors[1]).encode()
        if any(product in each for each in shown):
            return [("template", "an expression of the proof was evaluated")]
        return []


@dataclass(frozen=True)
class Generator:
    """A proof of the complexity oracle: what is repeated, and around what.

    JSON with `pump`, and where wanted `prefix`, `middle`, `closing` (repeated as often as `pump`)
    and `suffix`, all text, and `largest`, the greatest number of repetitions.
    """

    largest: int
    pump: str
    prefix: str = ""
    middle: str = ""
    closing: str = ""
    suffix: str = ""

    @classmethod
    def read(cls, proof: bytes) -> Generator:
        """The generator that a proof describes; ValueError when it describes none."""
        document = json.loads(proof)
        if not isinstance(document, dict) or not {"largest", "pump"} <= set(document):
            raise ValueError("expected an object with largest and pump")
        try:
            made = cls(**document)
        except TypeError:
            raise ValueError("an unknown member") from None
        texts = (made.pump, made.prefix, made.middle, made.closing, made.suffix)
        if not all(isinstance(each, str) for each in texts) or not made.pump:
            raise ValueError("what is repeated is text, and not empty")
        if type(made.largest) is not int or not 16 <= made.largest <= 1 << 20:
            raise ValueError("largest is a whole number from 16 to 1048576")
        if made.largest * len((made.pump + made.closing).encode()) > 4 << 20:
            raise ValueError("the largest input has more than 4 MiB")
        return made

    def sizes(self) -> list[int]:
        """Nothing at all first, for what the target costs anyway, then four sizes, each doubled."""
        return [0, *(self.largest >> shift for shift in (3, 2, 1, 0))]

    def make(self, size: int) -> bytes:
        """The input with so many repetitions."""
        parts = (self.prefix, self.pump * size, self.middle, self.closing * size, self.suffix)
        return "".join(parts).encode()


def _listener(family: int, address: str) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, PORT))
    listener.listen(16)
    return listener


def _state(path: Path) -> tuple[str, tuple[int, str]]:
    """A path, with its kind and permissions and a hash of what a plain file holds."""
    facts = path.lstat()
    content = ""
    if stat.S_ISREG(facts.st_mode) and facts.st_mode & 0o400:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    elif stat.S_ISLNK(facts.st_mode):
        content = str(path.readlink())
    return str(path), (facts.st_mode, content)


TRAPS: Mapping[str, Callable[[], Trap]] = {
    "command": Command,
    "import": Import,
    "eval": Evaluation,
    "file": File,
    "pollution": Pollution,
    "path-escape": PathEscape,
    "secret": Secret,
    "request": Request,
    "sql": Sql,
    "template": Template,
}
