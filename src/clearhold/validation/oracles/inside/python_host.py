"""The watcher's part within a Python interpreter: an audit hook (PEP 578) set before the target.

It tells, by a token that the watcher gave it alone, of what is done with the canaries. Code that
already runs in this interpreter could find the token in memory: it would then have shown more than
it could forge.
"""

from __future__ import annotations

import builtins
import os
import runpy
import sys

AREA = "/work/area"
CANARY_FILE = f"{AREA}/outside/clearhold-canary"
MODULE = "clearhold_canary"
CANARY_MODULE = f"{AREA}/modules/{MODULE}.py"
_COMMANDS = {
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile", "pty.spawn"),
    *("subprocess.Popen",),
}
_FILES = {
    *("os.remove", "os.rename", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.rmdir"),
    *("shutil.rmtree", "shutil.move", "shutil.copyfile", "shutil.copytree", "os.utime"),
}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def _is_canary(path: object) -> bool:
    try:
        return os.path.realpath(os.fsdecode(path)) == CANARY_FILE  # type: ignore[arg-type]
    except (TypeError, ValueError, OSError):
        return False


def _sprung(event: str, arguments: tuple[object, ...]) -> tuple[str, str] | None:
    """Which canary an audit event is about and how; None when it is about none."""
    if event == "open" and _is_canary(arguments[0]):
        flags = arguments[2] if isinstance(arguments[2], int) else 0
        return "file", "opened for writing" if flags & _WRITES else "opened for reading"
    if event in _FILES and any(_is_canary(each) for each in arguments):
        return "file", event
    if event == "exec" and getattr(arguments[0], "co_filename", "") == CANARY_MODULE:
        return "import", MODULE
    return ("command", event) if event in _COMMANDS else None


def _install() -> None:
    take, tell = (int(each) for each in os.environ.pop("CLEARHOLD_WATCH").split(","))
    token = os.read(take, 64)
    os.close(take)
    os.set_inheritable(tell, False)
    write = os.write
    said: set[str] = set()

    def say(kind: str, detail: str) -> None:
        # Once for each kind, so that the pipe is never full and nobody waits.
        if kind not in said:
            said.add(kind)
            write(tell, b" ".join((token, kind.encode(), detail.encode("ascii", "replace"), b"\n")))

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        sprung = _sprung(event, arguments)
        if sprung is not None:
            say(*sprung)

    def called(*arguments: object, **names: object) -> str:
        del arguments, names
        say("eval", MODULE)
        return MODULE

    setattr(builtins, MODULE, called)
    sys.addaudithook(hook)


def _start(words: list[str]) -> None:
    module = words[:1] == ["-m"]
    sys.argv = words[1:] if module else words
    if not sys.flags.safe_path:
        # As the interpreter itself does for a module and for a script.
        sys.path[0] = os.getcwd() if module else os.path.dirname(os.path.realpath(words[0]))  # noqa: PTH109, PTH120
    if module:
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    _install()
    _start(sys.argv[1:])
