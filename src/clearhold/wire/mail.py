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
_BOUNDARY = re.compile(rb"boundary", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mail:
    """What a message says: its subject, its text, and the names and bytes of what is attached."""

    subject: str
    text: str
    attachments: tuple[tuple[str, bytes], ...]


def read(data: bytes) -> Mail:
    """The message in `data`; raises `InvalidError` and `TooLargeError`."""
    head = re.split(rb"\r?\n\r?\n", data[: MAX_HEADERS + 4], maxsplit=1)[0]
    if len(data) > MAX_BYTES or len(head) > MAX_HEADERS or len(_BOUNDARY.findall(data)) > MAX_PARTS:
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
    message = email.message_from_bytes(data, policy=email.policy.default)
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
