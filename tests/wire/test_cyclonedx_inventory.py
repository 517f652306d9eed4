"""CycloneDX inventories are read whole, and what cannot be matched is said."""

from __future__ import annotations

import json
import uuid
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.kernel.purl import Purl
from clearhold.wire import cyclonedx

SBOMS = Path(__file__).parents[2].parent / "shared" / "data" / "sbom" / "sboms.zip"
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
SERIAL = uuid.UUID("8254265b-2729-46b6-b9e3-3dfca2d5bfca")


def bom(*components: Any, **members: Any) -> bytes:
    document = {"bomFormat": "CycloneDX", "specVersion": "1.5", "components": components}
    return json.dumps(document | members).encode()


def test_nested_components_and_the_described_one_are_read_in_order() -> None:
    inventory = cyclonedx.read(
        bom(
            {
                "name": "outer",
                "purl": "pkg:pypi/outer@1",
                "components": [{"name": "inner", "purl": "pkg:pypi/inner@2", "bom-ref": "i"}],
            },
            {"name": "last", "purl": "pkg:pypi/last@3"},
            metadata={"component": {"name": "app", "purl": "pkg:generic/app@0.1"}},
        )
    )
    assert [str(c.purl) for c in inventory.components] == [
        "pkg:generic/app@0.1",
        "pkg:pypi/outer@1",
        "pkg:pypi/inner@2",
        "pkg:pypi/last@3",
    ]
    assert inventory.components[2].bom_ref == "i"
    assert inventory.skipped == ()


def test_what_cannot_be_matched_is_reported_with_the_reason() -> None:
    inventory = cyclonedx.read(
        bom(
            {"name": "a", "type": "file"},
            {"name": "b", "purl": "nonsense"},
            {"name": "c", "version": "1", "purl": "pkg:pypi/c"},
        )
    )
    assert inventory.components == ()
    assert [(s.name, s.reason.split()[-1]) for s in inventory.skipped] == [
        ("a", "purl."),
        ("b", "URL."),
        ("c", "version."),
    ]


def test_a_written_inventory_is_read_back_and_is_the_same_bytes_every_time() -> None:
    texts = ["pkg:pypi/ujson@5.1.0", "pkg:deb/debian/zlib1g@1:1.2.13", "pkg:pypi/ujson@5.1.0"]
    purls = [Purl.parse(text) for text in texts]
    data = cyclonedx.write(purls, name="hospital", serial_number=SERIAL, now=NOW)
    again = cyclonedx.write(purls[::-1], name="hospital", serial_number=SERIAL, now=NOW)
    assert data == again
    inventory = cyclonedx.read(data)
    assert {str(c.purl) for c in inventory.components} == set(texts)
    assert inventory.spec_version == "1.6"
    assert inventory.serial_number == f"urn:uuid:{SERIAL}"
    assert [s.name for s in inventory.skipped] == ["hospital"]


def test_an_inventory_needs_versions() -> None:
    with pytest.raises(InvalidError, match="no version"):
        cyclonedx.write([Purl.parse("pkg:pypi/x")], name="x", serial_number=SERIAL, now=NOW)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'{"spdxVersion":"SPDX-2.3"}',
        b'{"bomFormat":"SPDX","specVersion":"1.5"}',
        b'{"bomFormat":"CycloneDX","specVersion":"2.0"}',
        b'{"bomFormat":"CycloneDX","specVersion":"1.5","components":5}',
    ],
)
def test_what_is_not_cyclonedx_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidError) as caught:
        cyclonedx.read(data)
    assert caught.value.next_step


def test_nesting_without_end_is_refused() -> None:
    opening = b'{"bomFormat":"CycloneDX","specVersion":"1.5","components":['
    with pytest.raises((InvalidError, TooLargeError)):
        cyclonedx.read(opening + b'{"components":[' * 100_000)


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "name": st.text(max_size=8) | st.none() | st.integers(),
                "version": st.text(max_size=8) | st.none(),
                "purl": st.text(max_size=20) | st.just("pkg:pypi/a@1") | st.none(),
                "bom-ref": st.text(max_size=5),
                "components": st.lists(st.just({"name": "x"}), max_size=2) | st.none(),
            },
        ),
        max_size=4,
    )
)
def test_every_component_is_read_or_skipped_or_the_whole_refused(components: list[Any]) -> None:
    try:
        inventory = cyclonedx.read(bom(*components))
    except InvalidError as problem:
        assert problem.next_step  # noqa: PT017 # either outcome is right, silence is not
        return
    nested = sum(len(c.get("components") or ()) for c in components)
    assert len(inventory.components) + len(inventory.skipped) == len(components) + nested


@given(st.binary())
def test_any_bytes_are_refused_as_an_inventory(data: bytes) -> None:
    with pytest.raises((InvalidError, TooLargeError)):
        cyclonedx.read(data)


@pytest.mark.skipif(not SBOMS.exists(), reason=f"{SBOMS} is absent")
def test_every_published_cyclonedx_file_is_read_with_nothing_lost() -> None:
    files = 0
    with zipfile.ZipFile(SBOMS) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            if b'"bomFormat"' not in data:
                continue
            files += 1
            inventory = cyclonedx.read(data)
            document = json.loads(data)
            waiting = [*document.get("components", ())]
            if "component" in document.get("metadata", {}):
                waiting.append(document["metadata"]["component"])
            expected = 0
            while waiting:
                component = waiting.pop()
                expected += 1
                waiting += component.get("components") or ()
            assert len(inventory.components) + len(inventory.skipped) == expected, name
            assert all(skipped.reason for skipped in inventory.skipped)
    assert files > 50
