"""What the acts of the story share: the hub, the parties, and what has happened so far."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from clearhold.demo.cast import Cast
from clearhold.demo.house import House, Place
from clearhold.demo.progress import Progress
from clearhold.kernel.errors import IntegrityError, UnavailableError

LAB_A: Final = "aurora-lab"
LAB_B: Final = "borealis-lab"
FINDER: Final = "ines-finder"
MAINTAINER: Final = "ujson-maintainer"
COORDINATOR: Final = "hub"
HOSPITAL: Final = "st-anna"
WATER: Final = "clearwater"
BANK: Final = "harbour-bank"
PACKAGE: Final = "pkg:pypi/ujson"
VULNERABLE: Final = "5.1.0"


@dataclass(slots=True)
class Scene:
    """The story so far; `facts` is what the report is written from."""

    place: Place
    house: House
    cast: Cast
    progress: Progress
    story: str
    facts: dict[str, Any] = field(default_factory=dict)

    def key(self, step: str) -> str:
        """The idempotency key of a step: a story that is told on after a crash repeats its calls."""
        return f"demo:{self.story}:{step}"

    def give_up(self, sentence: str) -> NoReturn:
        """End a story that this machine cannot tell; the next run begins a new one."""
        self.place.finish()
        raise UnavailableError(
            sentence, next_step="Mend what it says and run the demo again; it begins a new story."
        )

    def wait(
        self,
        ask: Callable[[], dict[str, Any]],
        *,
        ended: Callable[[dict[str, Any]], bool],
        show: Callable[[dict[str, Any]], str],
        seconds: float,
    ) -> dict[str, Any]:
        """Ask until it has ended, showing how far it is; `UnavailableError` after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            answer = ask()
            if ended(answer):
                return answer
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"This took longer than {seconds:.0f} seconds: {show(answer)}.",
                    next_step="Run the demo again; it continues where it stopped.",
                )
            self.progress.moving(show(answer))
            time.sleep(0.3)


def expect(condition: bool, sentence: str) -> None:  # noqa: FBT001  (reads as an assertion)
    """Fail the stage with `sentence` unless the product did what it promises."""
    if not condition:
        raise IntegrityError(sentence, next_step="This is a fault of the product: report it.")
