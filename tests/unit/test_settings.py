"""Settings: names, what they take, and the one text kept for a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.errors import BadValue, UsageError
from queuectl.settings import (
    BY_NAME,
    PER_JOB,
    SETTINGS,
    Setting,
    canonical,
    find,
    format_size,
    from_environment,
    parse,
    value_of,
)

if TYPE_CHECKING:
    from queuectl.settings import Value


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_default_is_in_its_one_text(setting: Setting) -> None:
    """So that what equals the default can be left out."""
    assert canonical(setting, setting.default) == setting.default


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_setting_is_explained(setting: Setting) -> None:
    """In words without a full stop, and a name people can type."""
    assert setting.help
    assert not setting.help.endswith(".")
    assert setting.name == setting.name.lower().replace("_", "-")


def test_names_are_unique() -> None:
    """Each setting is defined once."""
    assert len(BY_NAME) == len(SETTINGS)
    assert set(PER_JOB) < set(BY_NAME)


@pytest.mark.parametrize("name", ["max-retries", "max_retries"])
def test_hyphen_and_underscore_are_equal(name: str) -> None:
    """On the command line and in JSON."""
    assert find(name).name == "max-retries"


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("max-retry", "; did you mean max-retries?"),
        ("timeuot", "; did you mean timeout?"),
        ("zzz", "; `set` lists them"),
        ("", "; `set` lists them"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, suggestion: str) -> None:
    """Or with the way to see them all."""
    with pytest.raises(UsageError) as caught:
        find(name)
    assert str(caught.value) == f"no setting {name!r}{suggestion}"


@pytest.mark.parametrize(
    ("name", "text", "kept", "value"),
    [
        ("max-retries", "5", "5", 5),
        ("max-retries", " 007 ", "7", 7),
        ("max-retries", "0", "0", 0),
        ("max-retries", "1000000", "1000000", 1_000_000),
        ("backoff-base", "2", "2", 2.0),
        ("backoff-base", "1.50", "1.5", 1.5),
        ("backoff-base", "1e3", "1000", 1000.0),
        ("backoff-base", "1.23456789", "1.23456789", 1.23456789),
        ("backoff-base", "999999.5", "999999.5", 999_999.5),
        ("jitter", "0", "0", 0.0),
        ("jitter", "1", "1", 1.0),
        ("timeout", "90", "1m30s", 90_000),
        ("timeout", "1.5h", "1h30m", 5_400_000),
        ("timeout", "0", "0s", 0),
        ("output-limit", "500k", "500k", 512_000),
        ("output-limit", "64 MiB", "64 MiB", 64 * 1024**2),
        ("output-limit", "2G", "2G", 2 * 1024**3),
        ("output-limit", "1MB", "1MB", 1_000_000),
        ("output-limit", "0", "0", 0),
        ("shell", "/bin/bash", "/bin/bash", "/bin/bash"),
        ("env-capture", " A  B_* ", "A  B_*", "A  B_*"),
        ("merge", "ON", "on", True),
        ("merge", "no", "off", False),
        ("output-full", "fail", "fail", "fail"),
        ("on-success", "echo done", "echo done", "echo done"),
        ("on-success", "", "", ""),
        (
            "retry-on",
            "75,100-110,TERM,timeout",
            "75,100-110,TERM,timeout",
            "75,100-110,TERM,timeout",
        ),
    ],
)
def test_a_value_is_read_and_kept_in_one_text(
    name: str, text: str, kept: str, value: Value
) -> None:
    """What is kept means the same."""
    setting = find(name)
    assert parse(setting, text) == value
    assert canonical(setting, text) == kept
    assert parse(setting, kept) == value
    assert value_of(name, {name: kept}) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("max-retries", "-1"), ("max-retries", "1.5"), ("max-retries", "many"), ("max-retries", ""),
        ("max-retries", "1000001"), ("max-retries", "1_000"), ("max-retries", "9" * 5000),
        ("backoff-base", "-0.1"), ("backoff-base", "nan"), ("backoff-base", "inf"),
        ("backoff-base", "1e400"), ("backoff-base", "1_0"), ("jitter", "1.01"), ("jitter", "-1"),
        ("timeout", "-5"), ("timeout", "soon"), ("output-limit", "-1"), ("output-limit", "1.5M"),
        ("output-limit", "big"), ("output-limit", ""), ("output-limit", "9" * 5000),
        ("output-limit", "9" * 100), ("output-limit", "999999999999999G"), ("output-limit", "5x"), ("output-limit", "²"),
        ("shell", "bash"), ("shell", "/bin/\0sh"), ("shell", "/a\nb"), ("shell", ""),
        ("env-capture", "A\nB"), ("merge", "maybe"), ("merge", ""), ("output-full", "explode"),
        ("on-success", "a\0b"), ("retry-on", "0"), ("retry-on", "256"), ("retry-on", "5-3"),
        ("retry-on", "SIGNOT"), ("retry-on", "5-"), ("retry-on", "٥"),
    ],
)  # fmt: skip
def test_what_a_setting_does_not_take_is_refused(name: str, text: str) -> None:
    """The error names the setting, the value and what it takes, on one line."""
    with pytest.raises(BadValue) as caught:
        canonical(find(name), text)
    message = caught.value.message
    assert message.startswith(f"{name}: ")
    assert " is not " in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("max-retries", "a whole number from 0 to 1000000"),
        ("jitter", "a number from 0 to 1"),
        ("backoff-base", "a number from 0 to 1000000"),
        ("keep-completed-count", "a whole number from 0 up"),
    ],
)
def test_the_bounds_of_a_number_are_said(name: str, expected: str) -> None:
    """As people write numbers."""
    with pytest.raises(BadValue) as caught:
        canonical(find(name), "-1")
    assert caught.value.message == f"{name}: '-1' is not {expected}"


@given(st.sampled_from(SETTINGS), st.text(max_size=10))
def test_any_text_is_a_value_or_refused(setting: Setting, text: str) -> None:
    """And the text kept for it is kept for itself."""
    try:
        kept = canonical(setting, text)
    except BadValue:
        return
    assert canonical(setting, kept) == kept
    assert parse(setting, kept) == parse(setting, text)


@given(st.floats(0, 1_000_000))
def test_no_digit_of_a_number_is_lost(number: float) -> None:
    """What is kept is the same number."""
    setting = BY_NAME["backoff-base"]
    assert parse(setting, canonical(setting, repr(number))) == number


def test_the_environment_gives_settings_in_their_one_text() -> None:
    """Only the variables that are settings."""
    environ = {
        "QUEUECTL_MAX_RETRIES": " 05 ",
        "QUEUECTL_TIMEOUT": "90",
        "QUEUECTL_STORE": "x",
        "A": "1",
    }
    assert from_environment(environ) == {"max-retries": "5", "timeout": "1m30s"}
    assert from_environment({}) == {}


def test_a_bad_variable_is_named() -> None:
    """As the user wrote it."""
    with pytest.raises(BadValue, match="^QUEUECTL_MAX_RETRIES: max-retries: 'x' is not"):
        from_environment({"QUEUECTL_MAX_RETRIES": "x"})


def test_a_setting_that_a_job_does_not_carry_has_its_default() -> None:
    """Such as three retries."""
    assert value_of("max-retries", {}) == 3
    assert value_of("backoff-max", {}) == 300_000


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0B"), (1000, "1000B"), (1024, "1KiB"), (1536, "1536B"), (256 * 1024**2, "256MiB"),
     (3 * 1024**3, "3GiB"), (1024**4, "1024GiB")],
)  # fmt: skip
def test_a_size_is_written_in_the_shortest_exact_form(count: int, text: str) -> None:
    """In units that are read back."""
    assert format_size(count) == text


@given(st.integers(0, 10**15))
def test_a_written_size_reads_as_itself(count: int) -> None:
    """Of any size."""
    assert parse(BY_NAME["output-limit"], format_size(count)) == count
