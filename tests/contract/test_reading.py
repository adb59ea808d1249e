"""harness/contract/reading.py: options that tell which of them are read, and are options all the same."""

from __future__ import annotations

import copy
import pickle

import pytest
from pydantic import Field, ValidationError

from harness.contract.options import TrainingOptions
from harness.contract.reading import noted


class Options(TrainingOptions):
    alpha: float = Field(2.0, description="a weight")
    beta: float = Field(0.5, description="another")

    @property
    def both(self) -> float:
        return self.alpha + self.beta


@pytest.fixture
def seen():
    return []


@pytest.fixture
def options(seen):
    return noted(Options(alpha=3.0), seen.append)


def test_what_is_read_is_told_by_name(options, seen):
    assert (options.alpha, seen) == (3.0, ["alpha"])


def test_what_a_property_or_a_method_reads_counts_too(options, seen):
    assert (options.both, seen) == (3.5, ["alpha", "beta"])
    seen.clear()
    assert options.recipe().optimiser.learning_rate == 0.05
    assert {"epochs", "learning_rate", "momentum", "schedule", "decay_at", "batch_size", "selection"} <= set(seen)
    assert not {"alpha", "beta"} & set(seen)


def test_they_are_still_options_of_their_class(options, seen):
    assert isinstance(options, Options)
    assert type(options).__name__ == "Options"
    assert type(options).model_fields.keys() == Options.model_fields.keys()
    assert not seen
    with pytest.raises(ValidationError, match="frozen"):
        options.alpha = 1.0
    with pytest.raises(AttributeError, match="gamma"):
        options.gamma  # noqa: B018


def test_showing_them_reads_none(options, seen):
    assert repr(options) == repr(Options(alpha=3.0))
    assert not seen


@pytest.mark.parametrize(
    "hand_on",
    [
        lambda options: options.model_dump(),
        lambda options: options.model_dump_json(),
        dict,
        vars,
        lambda options: {**dict(options)},
        lambda options: options == Options(),
        pickle.dumps,
    ],
)
def test_handing_all_on_reads_them_all(options, seen, hand_on):
    hand_on(options)
    assert set(seen) == set(Options.model_fields)


def test_what_is_handed_on_has_the_values(options):
    assert options.model_dump() == dict(options) == vars(options) == Options(alpha=3.0).model_dump()
    again = pickle.loads(pickle.dumps(options))
    assert type(again) is Options
    assert again == Options(alpha=3.0)


def test_a_copy_tells_too_but_for_what_it_replaces(options, seen):
    changed = options.model_copy(update={"alpha": 7.0})
    assert not seen
    assert (changed.alpha, changed.beta, seen) == (7.0, 0.5, ["beta"])
    seen.clear()
    assert (copy.deepcopy(options).alpha, copy.copy(options).beta, seen) == (3.0, 0.5, ["alpha", "beta"])


def test_what_note_raises_stops_the_reading():
    def refuse(name):
        raise LookupError(name)

    options = noted(Options(), refuse)
    with pytest.raises(LookupError, match="alpha"):
        options.alpha  # noqa: B018
    with pytest.raises(LookupError):
        options.model_dump()
