"""The sandbox `clearhold` of Inspect: each sample in a box of its own (`adapters.sample_box`).

`inspect eval TASK.py --sandbox clearhold` uses it for any task; the runner of this package gives each
sample the trial that its metadata names, and its box then has that trial's service and record.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Literal, overload

import anyio.to_thread
from inspect_ai.util import (
    ExecResult,
    OutputLimitExceededError,
    SandboxEnvironment,
    sandboxenv,
)
from typing_extensions import override

from clearhold.adapters.sample_box import Asked, Box, BoxEndedError, Boxes, Done
from clearhold.harness.live import LONGEST_COMMAND_S, Live
from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.ports.sandbox import Tier

TRIAL = "clearhold_trial"
"""The name in a sample's metadata under which its trial's stands."""
_OUTPUT_BYTES = 1 << 20
_MOST_READ = 16 << 20
_NO_SUCH_END = 124  # as timeout(1) says it


def _nothing(_: object) -> None:
    """What is done before a trial, and made for a name, while no run uses the desk."""


class Desk:
    """The boxes and running trials of this process, where Inspect's class methods find them."""

    def __init__(self) -> None:
        self._trials: dict[str, Live] = {}
        self._boxes: Boxes | None = None
        self._making = threading.Lock()
        self.least = Tier.NAMESPACES
        self._before: Callable[[Live], None] = _nothing
        self._make: Callable[[str], Live | None] = _nothing

    def use(
        self,
        boxes: Boxes,
        *,
        least: Tier,
        before: Callable[[Live], None],
        make: Callable[[str], Live | None],
    ) -> None:
        """Use these boxes from now on, `make` each trial by its name, and call `before` it begins."""
        self._boxes, self.least, self._before, self._make = boxes, least, before, make

    def trial(self, name: str) -> Live | None:
        """A trial by its name, made when it is first asked for; None when there is none such."""
        trial = self._trials.get(name) or self._make(name)
        if trial is not None:
            self._trials[name] = trial
        return trial

    def take(self, name: str) -> Live | None:
        """Forget a trial; what it was, if it was ever made."""
        return self._trials.pop(name, None)

    def clear(self) -> None:
        """Forget every trial, and how they are made."""
        self._trials.clear()
        self._before = self._make = _nothing

    def begin(self, trial: Live) -> None:
        """Begin a trial in a box of its own; blocks."""
        self._before(trial)
        trial.open(self.boxes, least=self.least)

    @property
    def boxes(self) -> Boxes:
        """The boxes, made at first use when nobody gave any."""
        with self._making:
            if self._boxes is None:
                self._boxes = Boxes()
            return self._boxes


DESK = Desk()


@sandboxenv(name="clearhold")
class BoxEnvironment(SandboxEnvironment):
    """One sample's box, as Inspect's tools use it."""

    def __init__(self, box: Box, trial: Live | None) -> None:
        super().__init__()
        self.box, self.trial = box, trial

    @override
    @classmethod
    async def sample_init(
        cls, task_name: str, config: Any, metadata: dict[str, str]
    ) -> dict[str, SandboxEnvironment]:
        trial = await _threaded(lambda: DESK.trial(metadata.get(TRIAL, "")))
        if trial is not None:
            await _threaded(lambda: DESK.begin(trial))
            box = trial.box
        else:
            box = await _threaded(lambda: DESK.boxes.open(Asked(), least=DESK.least))
        assert box is not None  # noqa: S101 (it was opened above, or that raised)
        return {"default": cls(box, trial)}

    @override
    @classmethod
    async def sample_cleanup(
        cls,
        task_name: str,
        config: Any,
        environments: dict[str, SandboxEnvironment],
        interrupted: bool,
    ) -> None:
        for each in environments.values():
            await _threaded(each.as_type(cls).box.close)

    @override
    async def exec(
        self,
        cmd: list[str],
        input: str | bytes | None = None,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        user: str | None = None,
        timeout: int | None = None,
        timeout_retry: bool = True,
        concurrency: bool = True,
    ) -> ExecResult[str]:
        given = input.encode() if isinstance(input, str) else input or b""
        words = tuple(cmd)
        try:
            done = await _threaded(lambda: self._run(words, given, cwd, env, timeout))
        except (BoxEndedError, InvalidError) as problem:
            # What an agent did to its own box, or asked of it, is an answer and no fault of ours.
            return ExecResult(False, 126, "", f"{problem}\n")
        if done.ended_by == "wall":
            raise TimeoutError(f"The command took longer than {timeout} seconds.")
        code = _NO_SUCH_END if done.exit_code is None else done.exit_code
        said = [each.decode("utf-8", "replace") for each in (done.stdout, done.stderr)]
        if done.clipped:
            said[1] += "\n[output was cut at its limit]\n"
        return ExecResult(code == 0, code, *said)

    def _run(
        self,
        words: tuple[str, ...],
        given: bytes,
        cwd: str | None,
        env: dict[str, str] | None,
        timeout: int | None,
    ) -> Done:
        if self.trial is not None and cwd is None and not env:
            return self.trial.run(words, given=given, within_s=timeout)
        if self.trial is not None:
            raise InvalidError(
                "In a trial, commands have no directory or environment of their own."
            )
        return self.box.run(
            words,
            given=given,
            within_s=min(timeout or LONGEST_COMMAND_S, LONGEST_COMMAND_S),
            output_bytes=_OUTPUT_BYTES,
            directory=_absolute(cwd or "."),
            env=env,
        )

    @override
    async def write_file(self, file: str, contents: str | bytes) -> None:
        data = contents.encode() if isinstance(contents, str) else contents
        try:
            await _threaded(lambda: self.box.write(_absolute(file), data))
        except (InvalidError, BoxEndedError) as problem:
            raise PermissionError(str(problem)) from problem

    @overload
    async def read_file(self, file: str, text: Literal[True] = True) -> str: ...  # noqa: FBT002 (Inspect's)

    @overload
    async def read_file(self, file: str, text: Literal[False]) -> bytes: ...

    @override
    async def read_file(self, file: str, text: bool = True) -> str | bytes:
        try:
            data: bytes = await _threaded(lambda: self.box.read(_absolute(file), most=_MOST_READ))
        except TooLargeError as problem:
            raise OutputLimitExceededError(f"{_MOST_READ} bytes", "") from problem
        except (InvalidError, BoxEndedError) as problem:
            raise PermissionError(str(problem)) from problem
        return data.decode() if text else data


async def _threaded(work: Callable[[], Any]) -> Any:
    return await anyio.to_thread.run_sync(work)


def _absolute(name: str) -> str:
    return name if name.startswith("/") else f"/work/{name}".removesuffix("/.")
