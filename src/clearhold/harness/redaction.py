"""Inspect's logs without what is sealed: prompts, answers and all that was said become digests.

What stays says how a run went: samples by name, limits, tokens, scores, errors by their kind. The
log that Inspect wrote holds the tasks and is removed once the other is there.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from inspect_ai.log import EvalLog, EvalSample, read_eval_log, write_eval_log
from inspect_ai.model import ChatMessage, ChatMessageUser, ModelOutput


def redact(log_file: Path, to: Path) -> Path:
    """Write a log anew without sealed contents below `to`; the path of the new one."""
    log = read_eval_log(str(log_file))
    without(log)
    to.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = to / log_file.name
    write_eval_log(log, str(place))
    return place


def without(log: EvalLog) -> None:
    """Take what is sealed out of a log."""
    for sample in log.samples or []:
        _clean(sample)
    for reduction in log.reductions or []:
        for score in reduction.samples:
            score.explanation = None
            score.answer = None


def _clean(sample: EvalSample) -> None:
    sample.input = told(_text(sample.input))
    sample.target = ""
    sample.messages = [_said(each) for each in sample.messages]
    sample.output = ModelOutput(
        model=sample.output.model,
        usage=sample.output.usage,
        error=None if sample.output.error is None else "(removed)",
    )
    sample.events = []
    sample.attachments = {}
    sample.store = {}
    sample.setup = None
    sample.files = None
    sample.choices = None
    for score in (sample.scores or {}).values():
        score.answer = None
        score.explanation = None
    if sample.error is not None:
        sample.error.message = (
            sample.error.message[:80].splitlines()[0] if sample.error.message else ""
        )
        sample.error.traceback = ""
        sample.error.traceback_ansi = ""


def told(text: str) -> str:
    """What stands in place of a text."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"[sealed: {len(text)} characters, sha256 {digest}]"


def _said(message: ChatMessage) -> ChatMessage:
    return ChatMessageUser(content=f"{message.role}: {told(_text(message))}")


def _text(said: Any) -> str:
    if isinstance(said, str):
        return said
    if isinstance(said, list):
        return "\n".join(map(_text, said))
    text: str = said.model_dump_json()
    return text
