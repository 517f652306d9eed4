"""The probe program: tries, from within the sandbox, what an exploit would try.

Delivered into the sandbox as a file and run there by the system's interpreter, so it uses the
standard library alone. Its first act is to refuse to run anywhere else. Each probe answers whether
a protection held and what was seen; what raises anything unforeseen counts as a protection that
did not hold.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import platform
import resource
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable

MS_BIND, MS_REMOUNT = 0x1000, 0x20
NEW_USER, NEW_MOUNTS, NEW_NET = 0x10000000, 0x00020000, 0x40000000
TRACEME, ATTACH = 0, 16
GET_NO_NEW_PRIVS = 39
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
AF_ALG, AF_VSOCK, AF_BLUETOOTH = 38, 40, 31
SIGSYS = 31
# System call numbers of x86_64 and of the machines with the generic table; from 424 on all agree.
CALLS = {
    "process_vm_writev": (311, 271),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "bpf": (321, 280),
    "keyctl": (250, 219),
    "setns": (308, 268),
    "clone": (56, 220),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "pivot_root": (155, 41),
    "clock_settime": (227, 112),
    "pidfd_getfd": (438, 438),
    "io_uring_setup": (425, 425),
    "clone3": (435, 435),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "a call of the future": (900, 900),
}
DEVICES = {
    *("console", "core", "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin"),
    *("stdout", "tty", "urandom", "zero"),
}

libc = ctypes.CDLL(None, use_errno=True)
Answer = tuple[bool, str]


def denied(name: str, *arguments: object) -> Answer:
    """Whether a C library function fails, and how."""
    ctypes.set_errno(0)
    if getattr(libc, name)(*arguments) != -1:
        return False, f"{name} succeeded"
    return True, errno.errorcode.get(ctypes.get_errno(), "failed")


def call(name: str, *arguments: object) -> Answer:
    """Whether a system call by name fails, and how."""
    number = CALLS[name][0 if platform.machine() == "x86_64" else 1]
    held, why = denied("syscall", number, *arguments)
    return held, f"{name}: {why if held else 'succeeded'}"


def all_denied(*answers: Answer) -> Answer:
    """Several attempts as one answer."""
    return all(held for held, _ in answers), ", ".join(text for _, text in answers)


def closed(path: str, flags: int = os.O_RDONLY) -> Answer:
    """Whether a file cannot be opened, and why not."""
    try:
        os.close(os.open(path, flags | os.O_NONBLOCK, 0o600))
    except OSError as problem:
        return True, f"{path}: {errno.errorcode.get(problem.errno or 0, 'refused')}"
    return False, f"{path} could be opened"


def all_closed(*paths: str, flags: int = os.O_RDONLY) -> Answer:
    """Whether none of several files can be opened."""
    return all_denied(*(closed(path, flags) for path in paths))


def in_child(work: Callable[[], Answer]) -> Answer:
    """The answer of `work` in a child, which may be killed for trying: that holds, too."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writable, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(writable)
    said = os.read(readable, 4096)
    os.close(readable)
    _, status = os.waitpid(pid, 0)
    if not said:
        # Ended by a signal, or in some other way that is none of ours.
        return status != 0, f"ended with status {status}"
    held, why = json.loads(said)
    return held, why


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
    try:
        return os.readlink(f"/proc/self/ns/{name}")  # noqa: PTH115 (nothing but the basics here)
    except OSError:
        return "not told"


def separate(outside: dict[str, str]) -> Answer:
    """Whether every namespace differs from the hub's."""
    shared = [name for name, link in outside.items() if namespace(name) == link]
    return not shared, f"shared: {', '.join(shared)}" if shared else "all differ"


def interfaces() -> Answer:
    """Whether there is nothing but the loopback interface."""
    found = {
        line.split(":")[0].strip() for line in text("/proc/net/dev").splitlines() if ":" in line
    }
    return found <= {"lo"}, ", ".join(sorted(found)) or "none"


def unreachable(*addresses: tuple[int, int, object]) -> Answer:
    """Whether nothing answers or takes a packet at any of (family, kind, address)."""
    seen = []
    for family, kind, address in addresses:
        try:
            with socket.socket(family, kind) as probe:
                probe.settimeout(1)
                probe.connect(address)  # type: ignore[arg-type]
                probe.send(b"x")
        except OSError as problem:
            seen.append(errno.errorcode.get(problem.errno or 0, type(problem).__name__))
        else:
            return False, f"{address!r} was reached"
    return True, ", ".join(seen)


def processes_seen() -> Answer:
    """Whether only the sandbox's own few processes can be seen."""
    seen = [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    return len(seen) <= 4, f"{len(seen)} processes"


def out_of_reach(hub: int) -> Answer:
    """Whether the hub cannot even be sent a signal that does nothing."""
    try:
        os.kill(hub, 0)
    except OSError as problem:
        return True, errno.errorcode.get(problem.errno or 0, "refused")
    # Its number may be taken here by a process of the sandbox's own.
    return os.getpid() == hub or str(hub) in os.listdir("/proc"), "the number is one of ours"  # noqa: PTH208


def capabilities() -> Answer:
    """Whether every capability set is empty."""
    sets = status("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    return all(int(each, 16) == 0 for each in sets.values()), str(sets)


def confined(name: str, wanted: str) -> Answer:
    """Whether this process and init, which it could take over, both have a protection."""
    found = tuple(status(name, of=each).get(name) for each in ("self", "1"))
    return found == (wanted, wanted), f"{name} of the program and of init: {found}"


def no_new_privileges() -> Answer:
    """Whether no program can be given more than this process has."""
    if status("NoNewPrivs"):
        return confined("NoNewPrivs", "1")
    held = libc.prctl(GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1
    return held, f"this kernel tells of the program alone: {'set' if held else 'not set'}"


def root_again() -> Answer:
    """Whether no way back to root is open."""
    if 0 in os.getresuid():
        return False, "the program is root"
    return all_denied(denied("setresuid", 0, 0, 0), denied("setresgid", 0, 0, 0))


def foreign_call() -> Answer:
    """Whether calls through the 32 bit entrance of the kernel, which have other numbers, are refused."""
    if platform.machine() != "x86_64":
        return True, "this machine has no second entrance"

    def work() -> Answer:
        # mov eax, 310 (unshare of i386); mov ebx, CLONE_NEWUSER; int 0x80; ret
        code = b"\xb8\x36\x01\x00\x00\xbb\x00\x00\x00\x10\xcd\x80\xc3"
        room = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        room.write(b"\x53" + code[:-1] + b"\x5b\xc3")  # rbx is the caller's
        start = ctypes.addressof(ctypes.c_char.from_buffer(room))
        answer = ctypes.CFUNCTYPE(ctypes.c_int)(start)()
        return answer < 0, f"answered {answer}"

    return in_child(work)


def namespaces_within() -> Answer:
    """Whether no way leads into a namespace with capabilities of its own."""

    def cloned() -> Answer:
        # A null stack: the child continues here with a copy, so it must end at once.
        caller = os.getpid()
        result = call("clone", NEW_USER | signal.SIGCHLD, 0, 0, 0, 0)
        if os.getpid() != caller:
            os._exit(0)
        return result

    return all_denied(
        denied("unshare", NEW_USER),
        denied("unshare", NEW_MOUNTS),
        denied("unshare", NEW_NET),
        in_child(cloned),
        call("clone3", None, 0),
    )


def joining() -> Answer:
    """Whether no other namespace can be entered."""
    answers = []
    for name in ("mnt", "user", "net"):
        try:
            fd = os.open(f"/proc/1/ns/{name}", os.O_RDONLY)
        except OSError:
            answers.append((True, f"{name}: not even opened"))
            continue
        answers.append(call("setns", fd, 0))
        os.close(fd)
    return all_denied(*answers)


def families(*wanted: int) -> Answer:
    """Whether socket families that reach far into the kernel are closed."""
    seen = []
    for family in wanted:
        for kind in (socket.SOCK_RAW, socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
            try:
                socket.socket(family, kind).close()
            except OSError as problem:
                code = problem.errno or 0
                seen.append(errno.errorcode.get(code, "refused"))
                if code not in {errno.EPERM, errno.EAFNOSUPPORT, errno.EACCES}:
                    return False, f"family {family} reaches the kernel: {seen[-1]}"
            else:
                return False, f"family {family} is open"
    return True, ", ".join(sorted(set(seen)))


def terminal() -> Answer:
    """Whether there is no terminal whose input could be forged."""
    opened = closed("/dev/tty", os.O_RDWR)
    return all_denied(
        opened,
        denied("ioctl", 0, TIOCSTI, b"x"),
        denied("ioctl", 0, TIOCLINUX, b"\x02"),
    )


def devices() -> Answer:
    """Whether /dev holds the harmless ones alone, and none can be made."""
    found = set(os.listdir("/dev"))  # noqa: PTH208
    extra = sorted(found - DEVICES)
    if extra:
        return False, f"beyond the harmless: {', '.join(extra)}"
    for place in ("/tmp", "/work"):  # noqa: S108 (the sandbox's own)
        try:
            os.mknod(f"{place}/device", 0o600 | stat.S_IFBLK, os.makedev(8, 0))
        except OSError:
            continue
        return False, f"a disk could be made in {place}"
    return True, "the harmless ones; none can be made"


def kernel_settings() -> Answer:
    """Whether what every process of the machine obeys cannot be written."""
    names = (
        *("kernel/core_pattern", "kernel/modprobe", "kernel/sysrq", "kernel/randomize_va_space"),
        *("vm/drop_caches", "vm/overcommit_memory", "fs/binfmt_misc/register", "net/core/rmem_max"),
    )
    places = [f"/proc/sys/{each}" for each in names] + ["/proc/sysrq-trigger"]
    return all_closed(*places, flags=os.O_WRONLY)


def own_limits(*, own_kernel: bool) -> Answer:
    """Whether no limit can be raised again, and no priority taken.

    Within a kernel of its own nothing obeys the preference when memory runs out: it is not tried.
    """
    answers = []
    for name in ("RLIMIT_NPROC", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_CPU"):
        which = getattr(resource, name)
        bound = resource.getrlimit(which)[1]
        if bound == resource.RLIM_INFINITY:
            return False, f"{name} is boundless"
        try:
            resource.setrlimit(which, (bound + 1, bound + 1))
        except (ValueError, OSError):
            answers.append((True, f"{name} stays {bound}"))
            continue
        return False, f"{name} could be raised above {bound}"
    answers.append(denied("setpriority", 0, 0, -20))
    answers.append(closed_to(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))))
    if not own_kernel:
        answers.append(closed_to(lambda: written("/proc/self/oom_score_adj", b"-1000")))
    return all_denied(*answers)


def closed_to(work: Callable[[], object]) -> Answer:
    """Whether an attempt in Python is refused by the system."""
    try:
        work()
    except OSError as problem:
        return True, errno.errorcode.get(problem.errno or 0, "refused")
    return False, "it succeeded"


def written(path: str, content: bytes) -> None:
    """Write to a file that exists; raises what the system does."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)


def scratch(mb: int) -> Answer:
    """Whether the writable places hold no more than they should."""
    sizes = {}
    for place in ("/work", "/out", "/tmp", "/dev/shm"):  # noqa: S108 (the sandbox's own)
        facts = os.statvfs(place)
        sizes[place] = facts.f_blocks * facts.f_frsize >> 20
    return all(0 < size <= max(mb, 16) for size in sizes.values()), f"{sizes} MB"


def processes() -> Answer:
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
            os.waitpid(pid, 0)
    return False, "forty were allowed under a limit of twelve"


def descriptors() -> Answer:
    """Whether only the three standard streams were handed over."""
    extra = []
    for number in range(3, 256):
        try:
            os.fstat(number)
        except OSError:
            continue
        extra.append(number)
    return not extra, f"open: {extra}" if extra else "three"


def read_only() -> Answer:
    """Whether nothing can be made outside the scratch places."""
    places = ("", "/usr", "/usr/bin", "/dev", "/in")
    return all_closed(*(f"{each}/probe" for each in places), flags=os.O_CREAT | os.O_WRONLY)


def escapes(facts: dict[str, object]) -> dict[str, Callable[[], Answer]]:
    """Every probe by its name; `facts` are what the hub tells of itself to be looked for."""
    outside: dict[str, str] = facts["namespaces"]  # type: ignore[assignment]
    port, hub, mb = (int(str(facts[each])) for each in ("port", "hub", "scratch_mb"))
    tcp, udp, unix = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.AF_UNIX
    handle = ctypes.create_string_buffer(b"\x08\x00\x00\x00\x01\x00\x00\x00\x02" + bytes(64))
    return {
        "separate namespaces": lambda: separate(outside),
        "no network interface": interfaces,
        "no way to the internet": lambda: unreachable(
            (socket.AF_INET, tcp, ("192.0.2.1", 80)),
            (socket.AF_INET, udp, ("192.0.2.1", 53)),
            (socket.AF_INET6, udp, ("2001:db8::1", 53)),
        ),
        "no service of the machine": lambda: unreachable(
            (socket.AF_INET, tcp, ("127.0.0.1", port))
        ),
        "no abstract socket of the machine": lambda: unreachable(
            (unix, tcp, f"\0{facts['abstract']}")
        ),
        "no netlink": lambda: families(socket.AF_NETLINK),
        "no raw packets": lambda: all_denied(
            families(socket.AF_PACKET), closed_to(lambda: socket.socket(2, socket.SOCK_RAW, 255))
        ),
        "no foreign sockets": lambda: families(AF_ALG, AF_VSOCK, AF_BLUETOOTH),
        "no environment of the hub": lambda: (
            not (seen := text("/proc/1/environ")),
            f"{len(seen)} bytes",
        ),
        "no canary of the hub": lambda: closed(str(facts["canary"])),
        "no accounts": lambda: all_closed("/etc/passwd", "/etc/shadow", "/etc/group"),
        "no homes": lambda: all_closed("/root", "/home", "/srv"),
        "no data and no daemons' sockets": lambda: all_closed("/var", "/run", "/mnt", "/opt"),
        "no system tree": lambda: all_closed("/sys", "/boot", "/proc/1/root/sys"),
        "no processes of the machine": processes_seen,
        "no signal to the hub": lambda: out_of_reach(hub),
        "no capabilities": capabilities,
        "no new privileges": no_new_privileges,
        "system call filter": lambda: confined("Seccomp", "2"),
        "no second entrance to the kernel": foreign_call,
        "no calls of the future": lambda: call("a call of the future", 0),
        "no way back to root": root_again,
        "no mounting": lambda: all_denied(
            denied("mount", b"/tmp", b"/work", None, MS_BIND, None),
            denied("mount", b"cgroup", b"/tmp", b"cgroup", 0, b"memory"),
            denied("mount", b"proc", b"/tmp", b"proc", 0, None),
        ),
        "no remounting": lambda: all_denied(
            denied("mount", None, b"/", None, MS_REMOUNT | MS_BIND, None),
            denied("umount2", b"/", 2),
        ),
        "no mounting by descriptor": lambda: all_denied(
            call("open_tree", -100, b"/", 1), call("fsopen", b"tmpfs", 0)
        ),
        "no other root": lambda: all_denied(
            denied("chroot", b"/tmp"), call("pivot_root", b"/", b"/tmp")
        ),
        "no namespaces within": namespaces_within,
        "no joining of namespaces": joining,
        "no io_uring": lambda: call("io_uring_setup", 8, ctypes.create_string_buffer(120)),
        "no userfaultfd": lambda: call("userfaultfd", 0),
        "no kernel programs": lambda: call("bpf", 0, ctypes.create_string_buffer(128), 128),
        "no performance counters": lambda: call(
            "perf_event_open", ctypes.create_string_buffer(b"\x01\0\0\0\x70", 128), 0, -1, -1, 0
        ),
        "no kernel keys": lambda: call("keyctl", 0, -3),
        "no kernel modules": lambda: all_denied(
            call("finit_module", 0, b"", 0), call("kexec_load", 0, 0, 0, 0)
        ),
        "no tracing": lambda: all_denied(
            denied("ptrace", TRACEME, 0, 0, 0), denied("ptrace", ATTACH, 1, 0, 0)
        ),
        "no memory of others": lambda: all_denied(
            call("process_vm_writev", 1, 0, 0, 0, 0, 0), call("pidfd_getfd", 0, 0, 0)
        ),
        "no files by handle": lambda: call("open_by_handle_at", 0, handle, 0),
        "no watching of files": lambda: call("fanotify_init", 0, 0),
        "no terminal": terminal,
        "no other devices": devices,
        "no memory of the kernel": lambda: all_closed(
            *("/proc/kcore", "/dev/mem", "/dev/kmsg", "/proc/kmsg", "/dev/kvm")
        ),
        "kernel settings are closed": kernel_settings,
        "the clock is closed": lambda: call("clock_settime", 0, ctypes.create_string_buffer(16)),
        "the launcher cannot be rewritten": lambda: all_closed(
            "/proc/1/exe", "/usr/bin/env", flags=os.O_WRONLY
        ),
        "no map of users can be written": lambda: all_denied(
            closed_to(lambda: written("/proc/self/uid_map", b"0 0 1")),
            closed_to(lambda: written("/proc/1/gid_map", b"0 0 1")),
        ),
        "own limits stay": lambda: own_limits(own_kernel=facts["own_kernel"] is True),
        "system is read-only": read_only,
        "bounded scratch": lambda: scratch(mb),
        "bounded processes": processes,
        "no leaked descriptors": descriptors,
    }


def main() -> None:
    """Refuse to run outside a sandbox; else try everything and print the answers as JSON."""
    facts = json.loads(text(sys.argv[1]))
    outside = facts["namespaces"]
    if any(namespace(name) in {outside[name], "not told"} for name in ("pid", "mnt", "user")):
        sys.exit("this probe runs in a sandbox only")
    first = descriptors()  # before any other probe opens something
    answers = {}
    for name, probe in escapes(facts).items():
        try:
            answers[name] = first if name == "no leaked descriptors" else probe()
        except Exception as problem:  # noqa: BLE001 (an answer is owed for every probe)
            answers[name] = (False, f"{type(problem).__name__}: {problem}")
    print(json.dumps(answers))  # noqa: T201 (its answer)


if __name__ == "__main__":
    main()
