"""Checking documents against JSON Schema (draft 7 and 2020-12), by jsonschema-rs, offline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema_rs

_MAX_PROBLEMS = 20


class SchemaCheck:
    """One compiled schema; formats such as `uri` and `date-time` are enforced."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._validator = jsonschema_rs.validator_for(
            dict(schema), validate_formats=True, offline=True
        )

    def problems(self, document: object) -> tuple[str, ...]:
        """At most twenty sentences saying where `document` breaks the schema; empty when nowhere."""
        found = []
        for error in self._validator.iter_errors(document):
            place = "/" + "/".join(str(part) for part in error.instance_path)
            found.append(f"{place}: {error.message[:300]}")
            if len(found) == _MAX_PROBLEMS:
                break
        return tuple(found)
