"""The system call filter of the sandbox, as a BPF program that bubblewrap loads (seccomp(2)).

What is denied is what a program under test never needs and what kernel exploits begin with: other
namespaces and mounts, io_uring, userfaultfd, keys, BPF, tracing, modules, clocks, and every socket
family but UNIX and IP, of whose protocols there are TCP, UDP and ICMP. An unknown newer call answers ENOSYS, which C libraries understand.
"""

from __future__ import annotations

import errno
import functools
import os
import struct

import pyseccomp

from clearhold.kernel.errors import UnavailableError

LAST_KNOWN_CALL = 456  # futex_requeue, Linux 6.7; calls above 423 have one number on every machine

# What a sandbox within needs to set itself up, and a program under test never does.
NESTING = ("mount", "umount", "umount2", "pivot_root", "chroot", "setns", "unshare")
DENIED = (
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "userfaultfd"),
    *("keyctl", "add_key", "request_key", "bpf", "perf_event_open", "syslog", "acct", "quotactl"),
    *("open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"),
    *(
        "quotactl_fd",
        "kexec_load",
        "kexec_file_load",
        "init_module",
        "finit_module",
        "delete_module",
    ),
    *("create_module", "query_module", "get_kernel_syms", "nfsservctl", "uselib", "vhangup"),
    *("process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp"),
    *("open_by_handle_at", "name_to_handle_at", "fanotify_init", "fanotify_mark", "lookup_dcookie"),
    *("iopl", "ioperm", "modify_ldt", "vm86", "vm86old", "reboot", "swapon", "swapoff"),
    *("settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "stime", "sethostname"),
    *("setdomainname", "mbind", "migrate_pages", "move_pages", "set_mempolicy", "memfd_secret"),
)
# Memory that belongs to no process, so that watching processes cannot count it. What waits in UNIX
# sockets is told nowhere; two gigabytes of it fit into the descriptors of one program.
UNCOUNTED = ("memfd_create", "shmget", "socketpair")
SOL_SOCKET, BUFFER_SIZES = 1, (7, 8, 32, 33)  # SO_SNDBUF, SO_RCVBUF, and what forces them
# clone(2): the flags of cgroup, uts, ipc, user, pid, net and mount namespaces
NEW_NAMESPACES = (
    0x02000000,
    0x04000000,
    0x08000000,
    0x10000000,
    0x20000000,
    0x40000000,
    0x00020000,
)
FIRST_32_BITS = 0xFFFFFFFF
TIOCSTI, TIOCLINUX, TIOCSETD = 0x5412, 0x541C, 0x5423
AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10
# Above them SCTP, UDP-Lite, SMC, MPTCP and others, and below DCCP: what waits in their sockets is in
# no table that the supervisor reads, nor in a control group of version 1.
LAST_PROTOCOL, DCCP = 58, 33
KIND_OF_FILE, DEVICES = 0o170000, (0o020000, 0o060000)  # S_IFMT; S_IFCHR and S_IFBLK of inode(7)
BELOW_ZERO = 1 << 31


@functools.cache
def program(*, ptrace: bool, uncounted_memory: bool, nesting: bool = False) -> bytes:
    """The filter as an array of `struct sock_filter`.

    `ptrace` leaves tracing open, which LeakSanitizer needs; `uncounted_memory` leaves memory files,
    System V segments and UNIX sockets open, for runs whose memory a control group counts; `nesting`
    leaves namespaces and mounts open, for another sandbox that is set up within and has a filter of
    its own. Raises `UnavailableError` when libseccomp refuses a rule.
    """
    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    refuse = pyseccomp.ERRNO(errno.EPERM)
    try:
        denied = (*DENIED, *(() if ptrace else ("ptrace",)), *(() if nesting else NESTING))
        for name in denied:
            _deny(rules, refuse, name)
        if not uncounted_memory:
            _close_uncounted(rules, refuse)
        # Only the low 32 bits of an argument reach the kernel here; comparing 64 could be dodged.
        for flag in () if nesting else NEW_NAMESPACES:
            rules.add_rule(refuse, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, flag, flag))
        _deny(rules, pyseccomp.ERRNO(errno.ENOSYS), "clone3")
        for request in (TIOCSTI, TIOCLINUX, TIOCSETD):
            rules.add_rule(
                refuse, "ioctl", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, FIRST_32_BITS, request)
            )
        _close_what_linux_closes(rules, refuse)
        for call in ("socket", "socketpair"):
            for family in range(AF_INET6 + 1):
                if family not in {AF_UNIX, AF_INET, AF_INET6}:
                    rules.add_rule(refuse, call, pyseccomp.Arg(0, pyseccomp.EQ, family))
            rules.add_rule(refuse, call, pyseccomp.Arg(0, pyseccomp.GT, AF_INET6))
        unknown = pyseccomp.ERRNO(errno.EPROTONOSUPPORT)  # as of a kernel that was built without
        for how, protocol in ((pyseccomp.GT, LAST_PROTOCOL), (pyseccomp.EQ, DCCP)):
            rules.add_rule(unknown, "socket", pyseccomp.Arg(2, how, protocol))
        return _no_newer_calls() + _exported(rules)
    except OSError as problem:
        raise UnavailableError(
            f"The system call filter of the sandbox could not be built: {problem}.",
            next_step="Install libseccomp 2.5 or later (apt-get install libseccomp2).",
        ) from problem


def _close_what_linux_closes(rules: pyseccomp.SyscallFilter, action: int) -> None:
    """Devices and higher priorities, which gVisor gives to everybody."""
    for call, mode in (("mknod", 1), ("mknodat", 2)):
        for kind in DEVICES:
            _deny(rules, action, call, pyseccomp.Arg(mode, pyseccomp.MASKED_EQ, KIND_OF_FILE, kind))
    below_zero = pyseccomp.Arg(2, pyseccomp.MASKED_EQ, BELOW_ZERO, BELOW_ZERO)
    rules.add_rule(action, "setpriority", below_zero)


def _close_uncounted(rules: pyseccomp.SyscallFilter, action: int) -> None:
    for name in UNCOUNTED:
        _deny(rules, action, name)
    rules.add_rule(action, "socket", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, FIRST_32_BITS, AF_UNIX))
    level = pyseccomp.Arg(1, pyseccomp.MASKED_EQ, FIRST_32_BITS, SOL_SOCKET)
    for option in BUFFER_SIZES:
        rules.add_rule(
            action,
            "setsockopt",
            level,
            pyseccomp.Arg(2, pyseccomp.MASKED_EQ, FIRST_32_BITS, option),
        )


def _deny(rules: pyseccomp.SyscallFilter, action: int, name: str, *when: pyseccomp.Arg) -> None:
    try:
        rules.add_rule(action, name, *when)
    except OSError as problem:
        # Other machines have fewer calls: what libseccomp does not know, it cannot filter, and the
        # kernel of such a machine does not have, or it is above LAST_KNOWN_CALL.
        if problem.errno not in {errno.EINVAL, errno.EDOM, errno.EFAULT}:
            raise


def _exported(rules: pyseccomp.SyscallFilter) -> bytes:
    with os.fdopen(os.memfd_create("seccomp"), "w+b") as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


def _no_newer_calls() -> bytes:
    """Three instructions ahead of libseccomp's: load the number; above the last known, ENOSYS."""
    load_number, greater, answer = 0x20, 0x25, 0x06  # BPF_LD|W|ABS, BPF_JMP|JGT|K, BPF_RET|K
    seccomp_ret_errno = 0x00050000
    return (
        struct.pack("HBBI", load_number, 0, 0, 0)
        + struct.pack("HBBI", greater, 0, 1, LAST_KNOWN_CALL)
        + struct.pack("HBBI", answer, 0, 0, seccomp_ret_errno | errno.ENOSYS)
    )
