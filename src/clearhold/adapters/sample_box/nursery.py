"""The process that the keepers of samples are forked from, each when its sample begins.

An interpreter takes longer to start and to read its modules than a sample's box takes to stand; here
both are done once. Run as a script by an isolated interpreter, with the harness's socket and the
harness's pidfd. It holds nothing of any sample, so a keeper that is forked from it is like one that
was started for its sample alone.

For each keeper one message comes: the identity to take, a space, `1` to use a TUN device or `0`, with
the keeper's own socket. The answer is `P` with a pidfd of the keeper, or `X` and why there is none.
"""

from __future__ import annotations

import gc
import os
import select
import socket
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from clearhold.adapters.sample_box import keeper
    from clearhold.adapters.sandbox_bwrap import forked
else:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 (pathlib is a slow import)
    import keeper  # isort: skip (it says where the other is)
    import forked


class Nursery:
    """Forks keepers while the harness lives, and reaps them."""

    def __init__(self, link: socket.socket, hub: int) -> None:
        self.link, self.hub = link, hub
        self.keepers: dict[int, int] = {}
        self.poll = select.poll()
        for fd in (link.fileno(), hub):
            self.poll.register(fd, select.POLLIN)

    def serve(self) -> None:
        """Fork keepers until the harness hangs up or is gone; those that run see to their own end."""
        while True:
            for fd, _ in self.poll.poll():
                if fd in self.keepers:
                    self.poll.unregister(fd)
                    os.waitpid(self.keepers.pop(fd), 0)
                    os.close(fd)
                elif fd == self.hub or not self.answer():
                    return

    def answer(self) -> bool:
        """Fork the keeper that is asked for; False when the harness has hung up."""
        told, fds = forked.received(self.link)
        if not told:
            return False
        try:
            pid = os.fork()
        except OSError as problem:
            self.link.send(b"X" + str(problem.strerror).encode())
        else:
            if pid == 0:
                self.become_keeper(told.decode("ascii"), fds[0])
            keeper_ = os.pidfd_open(pid)
            self.keepers[keeper_] = pid
            self.poll.register(keeper_, select.POLLIN)
            socket.send_fds(self.link, [b"P"], [keeper_])
        finally:
            for fd in fds:
                os.close(fd)
        return True

    def become_keeper(self, told: str, link: int) -> NoReturn:
        """Runs in the child and never returns."""
        try:
            os.setsid()
            self.link.close()
            for fd in self.keepers:
                os.close(fd)
            identity, device = told.split()
            keeper.keep(socket.socket(fileno=link), self.hub, identity, device=device == "1")
        finally:
            os._exit(0)


def main() -> None:
    """Say that keepers can be had, and give them."""
    link = socket.socket(fileno=int(sys.argv[1]))
    hub = int(sys.argv[2])
    os.set_inheritable(link.fileno(), False)
    os.set_inheritable(hub, False)
    gc.freeze()  # what is here stays, and stays shared with every keeper
    link.send(b"S")
    Nursery(link, hub).serve()


if __name__ == "__main__":
    main()
