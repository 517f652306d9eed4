"""Every setting is read from the environment, or the variable that is wrong is named."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.kernel.errors import InvalidError
from clearhold.ports.sandbox import Tier
from clearhold.settings import PREFIX, Settings, from_environment

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def test_without_a_variable_every_setting_has_its_default() -> None:
    assert from_environment({}) == Settings()
    empty = {PREFIX + field.name.upper(): "" for field in fields(Settings)}
    assert from_environment(empty) == Settings()


def test_each_kind_of_setting_is_read() -> None:
    read = from_environment(
        {
            "CLEARHOLD_DATA_DIRECTORY": "relative/data",
            "CLEARHOLD_DATABASE": "postgresql+psycopg://hub@db/hub",
            "CLEARHOLD_PORT": "8080",
            "CLEARHOLD_LEAST_TIER": "gvisor",
            "UNRELATED": "x",
        }
    )
    assert read.data_directory == Path("relative/data").absolute()
    assert read.database_url == "postgresql+psycopg://hub@db/hub"
    assert read.port == 8080
    assert read.least_tier is Tier.GVISOR


def test_the_database_lies_in_the_data_directory_unless_it_is_named() -> None:
    read = from_environment({"CLEARHOLD_DATA_DIRECTORY": "/srv/hub"})
    assert read.database_url == "sqlite:////srv/hub/clearhold.db"
    assert read.repository_directory == Path("/srv/hub/published")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CLEARHOLD_PORT", "http"),
        ("CLEARHOLD_PORT", "80.5"),
        ("CLEARHOLD_PORT", "-1"),
        ("CLEARHOLD_PORT", "65536"),
        ("CLEARHOLD_HEAVY_SLOTS", "two"),
        ("CLEARHOLD_HEAVY_SLOTS", "0"),
        ("CLEARHOLD_AFFECTED_BUILDS", "-1"),
        ("CLEARHOLD_AFFECTED_BUILDS", "201"),
        ("CLEARHOLD_BACKPORT_VERSIONS", "25"),
        ("CLEARHOLD_LEAST_TIER", "strong"),
        ("CLEARHOLD_LEAST_TIER", "none"),
        ("CLEARHOLD_LEAST_TIER_CODE", "none"),
        ("CLEARHOLD_LEAST_TIER_CODE", "namespaces"),
        ("CLEARHOLD_DATA_DIRECTORY", "/srv/\x00hub"),
    ],
)
def test_a_setting_that_is_wrong_is_named_with_what_to_do(name: str, value: str) -> None:
    with pytest.raises(InvalidError) as told:
        from_environment({name: value})
    assert name in told.value.message
    assert told.value.next_step


@given(st.sampled_from([field.name for field in fields(Settings)]), text)
def test_no_value_whatever_breaks_the_reading(name: str, value: str) -> None:
    variable = PREFIX + name.upper()
    told: InvalidError | None = None
    try:
        read = from_environment({variable: value})
    except InvalidError as refused:
        told, read = refused, Settings()
    assert told is None or (variable in told.message and told.next_step)
    assert read.least_tier > Tier.NONE
    assert 0 <= read.port < 1 << 16
    assert read.heavy_slots >= 1


def test_a_wrong_value_is_never_repeated_for_it_may_be_a_password() -> None:
    with pytest.raises(InvalidError) as told:
        from_environment({"CLEARHOLD_PORT": "s3cret"})
    assert "s3cret" not in told.value.message + told.value.next_step


def test_every_setting_is_documented_by_its_class() -> None:
    documented = Settings.__doc__ or ""
    for field in fields(Settings):
        assert re.search(rf"^ *(\w+, )*{field.name}(, \w+)*: ", documented, re.MULTILINE)


def test_strangers_code_needs_gvisor_unless_the_operator_says_otherwise() -> None:
    assert from_environment({}).least_tier_code is Tier.GVISOR
    lowered = from_environment({"CLEARHOLD_LEAST_TIER_CODE": "namespaces_cgroup"})
    assert lowered.least_tier_code is Tier.NAMESPACES_CGROUP


@pytest.mark.parametrize(
    "wrong",
    [
        {"CLEARHOLD_MODEL_URL": "https://models.example/v1"},
        {"CLEARHOLD_MODEL_URL": "models.example/v1", "CLEARHOLD_MODEL_NAME": "m"},
        {"CLEARHOLD_MODEL_URL": "https://key@models.example/v1", "CLEARHOLD_MODEL_NAME": "m"},
        {"CLEARHOLD_MODEL_URL": "https://models.example/v1?key=x", "CLEARHOLD_MODEL_NAME": "m"},
        {"CLEARHOLD_MODEL_CONTEXT": "4095"},
        {"CLEARHOLD_MODEL_TOKENS": "-1"},
    ],
)
def test_a_model_needs_a_plain_address_a_name_and_room(wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidError) as told:
        from_environment(wrong)
    assert "CLEARHOLD_MODEL_" in told.value.message
    assert "key@" not in told.value.message + told.value.next_step


def test_a_model_is_named_by_address_name_and_networks() -> None:
    read = from_environment(
        {
            "CLEARHOLD_MODEL_URL": "http://127.0.0.1:8080/v1",
            "CLEARHOLD_MODEL_NAME": "small",
            "CLEARHOLD_MODEL_NETWORKS": "127.0.0.0/8, ::1/128",
        }
    )
    assert read.model_name == "small"
    assert [str(each) for each in read.model_networks] == ["127.0.0.0/8", "::1/128"]
