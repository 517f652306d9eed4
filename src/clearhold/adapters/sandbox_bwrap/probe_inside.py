"""The probe program: tries, from within the sandbox, what an exploit would try.

Delivered into the sandbox as a file and run there by the system's interpreter, so it uses the
standard library alone. Its first act is to refuse to run anywhere else.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import socket
import sys
import time

MS_BIND = 0x1000
CLONE_NEWUSER = 0x10000000
SYS_IO_URING_SETUP = 425  # one number on every machine
TRACEME = 0

libc = ctypes.CDLL(None, use_errno=True)


def denied(name: str, *arguments: object) -> tuple[bool, str]:
    """Whether a C library function fails, and how."""
    ctypes.set_errno(0)
    if getattr(libc, name)(*arguments) != -1:
        return False, f"{name} succeeded"
    return True, errno.errorcode.get(ctypes.get_errno(), "failed")


def all_denied(*answers: tuple[bool, str]) -> tuple[bool, str]:
    """Several attempts as one answer."""
    return all(held for held, _ in answers), ", ".join(text for _, text in answers)


def closed(path: str, flags: int) -> tuple[bool, str]:
    """Whether a file cannot be opened, and why not."""
    try:
        os.close(os.open(path, flags, 0o600))
    except OSError as problem:
        return True, f"{path}: {errno.errorcode.get(problem.errno or 0, 'refused')}"
    return False, f"{path} could be opened"


def text(path: str) -> str:
    """The content of a small file."""
    with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 (nothing but the basics here)
        return file.read()


def status(*names: str, of: str = "self") -> dict[str, str]:
    """Lines of a process's /proc status."""
    lines = (line.split(":", 1) for line in text(f"/proc/{of}/status").splitlines())
    return {name: value.strip() for name, value in lines if name in names}


def namespace(name: str) -> str:
    """What names one of this process's namespaces, for example `pid:[4026531836]`."""
    return os.readlink(f"/proc/self/ns/{name}")  # noqa: PTH115 (nothing but the basics here)


def separate(outside: dict[str, str]) -> tuple[bool, str]:
    """Whether every namespace differs from the hub's."""
    shared = [name for name, link in outside.items() if namespace(name) == link]
    return not shared, f"shared: {', '.join(shared)}" if shared else "all differ"


def network() -> tuple[bool, str]:
    """Whether there is nothing but the loopback interface."""
    found = {
        line.split(":")[0].strip() for line in text("/proc/net/dev").splitlines() if ":" in line
    }
    return found <= {"lo"}, ", ".join(sorted(found)) or "none"


def capabilities() -> tuple[bool, str]:
    """Whether every capability set is empty."""
    sets = status("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    return all(int(each, 16) == 0 for each in sets.values()), str(sets)


def confined(
    here: dict[str, str], init: dict[str, str], name: str, wanted: str
) -> tuple[bool, str]:
    """Whether this process and init, which it could take over, both have a protection."""
    found = here.get(name), init.get(name)
    return found == (wanted, wanted), f"{name} of the program and of init: {found}"


def sockets() -> tuple[bool, str]:
    """Whether the kernel's less travelled socket families are closed."""
    open_families = []
    for family in (socket.AF_NETLINK, socket.AF_PACKET, 38, 40):  # 38 AF_ALG, 40 AF_VSOCK
        try:
            socket.socket(family, socket.SOCK_RAW if family == socket.AF_NETLINK else 5).close()
        except PermissionError:
            continue
        except OSError:
            open_families.append(int(family))
    return not open_families, f"reach the kernel: {open_families}" if open_families else "denied"


def scratch(mb: int) -> tuple[bool, str]:
    """Whether the writable places hold no more than they should."""
    sizes = {}
    for place in ("/work", "/out", "/tmp", "/dev/shm"):  # noqa: S108 (the sandbox's own)
        facts = os.statvfs(place)
        sizes[place] = facts.f_blocks * facts.f_frsize >> 20
    return all(0 < size <= max(mb, 16) for size in sizes.values()), f"{sizes} MB"


def processes() -> tuple[bool, str]:
    """Whether forking meets a limit."""
    children = []
    try:
        for _ in range(40):
            pid = os.fork()
            if pid == 0:
                time.sleep(30)
                os._exit(0)
            children.append(pid)
    except OSError:
        return True, f"stopped after {len(children)}"
    finally:
        for pid in children:
            os.kill(pid, 9)
    return False, "forty were allowed under a limit of twelve"


def descriptors() -> tuple[bool, str]:
    """Whether only the three standard streams were handed over."""
    extra = []
    for number in range(3, 256):
        try:
            os.fstat(number)
        except OSError:
            continue
        extra.append(number)
    return not extra, f"open: {extra}" if extra else "three"


def main() -> None:
    """Refuse to run outside a sandbox; else try everything and print the answers as JSON."""
    facts = json.loads(text(sys.argv[1]))
    outside = facts["namespaces"]
    for name in ("pid", "mnt", "user"):
        if namespace(name) == outside[name]:
            sys.exit("this probe runs in a sandbox only")
    leaked = descriptors()
    here, init = (status("NoNewPrivs", "Seccomp", of=each) for each in ("self", "1"))
    environment = text("/proc/1/environ")
    answers = {
        "separate namespaces": separate(outside),
        "no network": network(),
        "no environment of the hub": (not environment, f"{len(environment)} bytes"),
        "no files of the hub": all_denied(
            closed(facts["canary"], os.O_RDONLY),
            closed("/etc/passwd", os.O_RDONLY),
            closed("/root", os.O_RDONLY),
            closed("/home", os.O_RDONLY),
        ),
        "no capabilities": capabilities(),
        "no new privileges": confined(here, init, "NoNewPrivs", "1"),
        "system call filter": confined(here, init, "Seccomp", "2"),
        "no mounting": denied("mount", b"/tmp", b"/work", None, MS_BIND, None),
        "no namespaces within": denied("unshare", CLONE_NEWUSER),
        "no io_uring": denied("syscall", SYS_IO_URING_SETUP, 8, ctypes.create_string_buffer(120)),
        "no tracing": denied("ptrace", TRACEME, 0, 0, 0),
        "no kernel keys": denied("syscall", *key_request()),
        "no foreign sockets": sockets(),
        "core pattern is closed": closed("/proc/sys/kernel/core_pattern", os.O_WRONLY),
        "system is read-only": all_denied(
            *(
                closed(f"{each}/probe", os.O_CREAT | os.O_WRONLY)
                for each in ("", "/usr", "/dev", "/in")
            )
        ),
        "bounded scratch": scratch(facts["scratch_mb"]),
        "bounded processes": processes(),
        "no leaked descriptors": leaked,
    }
    print(json.dumps(answers))  # noqa: T201 (its answer)


def key_request() -> tuple[int, int, int]:
    """The arguments of keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING) for syscall(2)."""
    number = 250 if os.uname().machine == "x86_64" else 219
    return number, 0, -3


if __name__ == "__main__":
    main()
