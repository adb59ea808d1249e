"""harness/common/text.py and harness/common/bounds.py: what files say is shown short and harmless, and walked once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from harness.common.bounds import TooMuch, bounded
from harness.common.errors import DataError, one_line
from harness.common.text import printable, shown

CLEAR_SCREEN = "\x1b[2J\x1b]0;owned\x07"


def test_control_characters_are_written_out_and_ordinary_text_is_left_alone() -> None:
    assert printable("Möwe 鷗\u3000±\tx\n") == "Möwe 鷗\u3000±\tx\n"
    assert printable("a\x1b[31mb\r\x7f\x9b\u202e\udcff") == r"a\x1b[31mb\r\x7f\x9b\u202e\udcff"


def test_an_error_shows_no_control_character_of_the_name_it_is_about() -> None:
    for text in (str(DataError(CLEAR_SCREEN)), one_line(DataError(CLEAR_SCREEN)), one_line(ValueError(CLEAR_SCREEN))):
        assert text.isprintable()


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("x" * 10**6, id="long"),
        pytest.param(b"x" * 10**6, id="bytes"),
        pytest.param([[1] * 10**6], id="nested"),
        pytest.param(1 << 20_000, id="large"),
        "\x1b[2J",
        {"\x1b": 1},
        object(),
        None,
        0.5,
        (1,) * 5000,
    ],
)
def test_a_value_is_shown_short_and_printable(value: Any) -> None:
    assert len(shown(value)) < 100
    assert shown(value).isprintable()


def doubled(levels: int) -> Any:
    value: Any = [0]
    for _ in range(levels):
        value = [value, value]
    return value


def test_a_value_that_is_held_many_times_counts_as_often() -> None:
    assert bounded(doubled(8), most=2_000) == doubled(8)
    with pytest.raises(TooMuch, match="more than 2,000 values"):
        bounded(doubled(30), most=2_000)


@pytest.mark.parametrize("kind", [list, tuple, dict])
def test_nesting_has_a_bound_far_below_that_of_the_interpreter(kind: type) -> None:
    value: Any = 1
    for _ in range(sys.getrecursionlimit() * 3):
        value = {"a": value} if kind is dict else kind([value])
    with pytest.raises(TooMuch, match="more than 32 deep"):
        bounded(value)


def test_what_is_no_plain_value_is_converted_in_place() -> None:
    value = [Path("a"), {"b": (Path("c"), 1)}]
    assert bounded(value, str) is value
    assert value == ["a", {"b": ("c", 1)}]
