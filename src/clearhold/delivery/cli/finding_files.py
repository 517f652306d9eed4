"""Files on this machine that become submissions: told apart, packed into bundles, shown as they go."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

from clearhold.delivery.printed import printable
from clearhold.findings.bulk import form_of
from clearhold.findings.intake import Format
from clearhold.kernel.errors import ClearholdError, InvalidError, TooLargeError

_LARGEST: Final = 47 * 1024 * 1024
_MADE: Final = (1980, 1, 1, 0, 0, 0)


def told_form(name: str, file: BinaryIO) -> Format:
    """The format of a file; what ends in .json and is of no other is taken for our own."""
    try:
        return form_of(name, file)
    except ClearholdError:
        if name.lower().endswith(".json"):
            return Format.CLEARHOLD_JSON
        raise


def packed(paths: Sequence[Path]) -> bytes:
    """A zip archive of these files, and of those below directories; the same files, the same bytes."""
    files: dict[str, Path] = {}
    for path in paths:
        inner = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else []
        for each in inner or [path]:
            name = str(each.relative_to(path)) if inner else each.name
            if each.is_symlink() or name in files:
                raise InvalidError(
                    f"The file {name!a} is a link or is there twice.",
                    next_step="Name plain files with names of their own.",
                )
            files[name] = each
    out, size = io.BytesIO(), 0
    try:
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, each in sorted(files.items()):
                size += each.stat().st_size
                if size > _LARGEST:
                    raise TooLargeError(
                        f"The files together are larger than {_LARGEST} bytes.",
                        next_step="Leave out what is not needed.",
                    )
                archive.writestr(
                    zipfile.ZipInfo(name, _MADE), each.read_bytes(), zipfile.ZIP_DEFLATED
                )
    except OSError as error:
        raise InvalidError(
            f"A file cannot be read: {error.strerror}.", next_step="Check its name and rights."
        ) from error
    return out.getvalue()


def progress(line: str) -> None:
    """One line about how far the work is, on standard error, so that output stays for programs."""
    sys.stderr.write(printable(f"{line}\n"))
    sys.stderr.flush()
