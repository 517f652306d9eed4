"""A message as it lies in a mailbox: RFC 5322 with MIME (RFC 2045 to 2049), read within bounds.

The words are the first plain text part; every other part is an attachment, an attached message
too. A message that has only HTML is refused, for what it shows is not what it holds.
"""

from __future__ import annotations

import email
import email.errors
import email.policy
import re
from dataclasses import dataclass

from clearhold.kernel.errors import InvalidError, TooLargeError

MAX_PARTS = 64
MAX_BYTES = 48 * 1024 * 1024
MAX_HEADERS = 256 * 1024
MAX_READ_HEADER = 4096
MAX_STEPS = 8_000_000
_BOUNDARY = re.compile(rb"boundary", re.IGNORECASE)
_READ = frozenset({"subject", "content-type", "content-disposition", "content-transfer-encoding"})


class _Policy(email.policy.EmailPolicy):
    """Refuses long headers of any part that are read: the library takes long over them."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        if name.strip().lower() in _READ and len(value) > MAX_READ_HEADER:
            message = "a header that is too long"
            raise email.errors.HeaderParseError(message)
        return name, value


@dataclass(frozen=True, slots=True)
class Mail:
    """What a message says: its subject, its text, and the names and bytes of what is attached."""

    subject: str
    text: str
    attachments: tuple[tuple[str, bytes], ...]


def read(data: bytes) -> Mail:
    """The message in `data`; raises `InvalidError` and `TooLargeError`."""
    head = re.split(rb"\r?\n\r?\n", data[: MAX_HEADERS + 4], maxsplit=1)[0]
    marks = len(_BOUNDARY.findall(data))
    # The library holds each line against the boundary of every part it stands in.
    steps = max(data.count(b"\n"), data.count(b"\r")) * (1 + marks)
    if len(data) > MAX_BYTES or len(head) > MAX_HEADERS or marks > MAX_PARTS or steps > MAX_STEPS:
        raise TooLargeError(
            "The message is too large or has too many parts.",
            next_step="Send what is needed as a bundle of files.",
        )
    if not re.search(rb"^(?:subject|from|mime-version):", head, re.IGNORECASE | re.MULTILINE):
        raise InvalidError(
            "There is no message: it has neither a subject nor a sender.",
            next_step="Save the message with its headers as .eml, or submit its text as text.",
        )
    try:
        return _read(data)
    except (
        email.errors.MessageError,
        ValueError,
        LookupError,
        AttributeError,
        TypeError,
        RecursionError,
    ) as problem:  # the library lets all of these out of malformed messages
        raise InvalidError(
            "The message cannot be read: its MIME structure is broken.",
            next_step="Save it again, or send its files as a bundle.",
        ) from problem


def _read(data: bytes) -> Mail:
    message = email.message_from_bytes(data, policy=_Policy())
    text: str | None = None
    attachments: list[tuple[str, bytes]] = []
    parts = [each for each in message.walk() if not each.is_multipart()]
    if len(parts) > MAX_PARTS:
        raise TooLargeError(
            f"The message has {len(parts)} parts; at most {MAX_PARTS} are taken.",
            next_step="Send what is needed as a bundle of files.",
        )
    for number, part in enumerate(parts):
        kind = part.get_content_type()
        content = part.get_payload(decode=True)
        body = content if isinstance(content, bytes) else str(part.get_payload()).encode()
        named = part.get_filename()
        if text is None and kind == "text/plain" and named is None:
            text = body.decode(part.get_content_charset() or "utf-8")
        elif not (kind == "text/html" and named is None):
            attachments.append((str(named or f"part-{number}"), body))
    if text is None:
        raise InvalidError(
            "The message has no plain text.", next_step="Write what you found as plain text too."
        )
    return Mail(str(message["subject"] or ""), text.replace("\r\n", "\n"), tuple(attachments))
