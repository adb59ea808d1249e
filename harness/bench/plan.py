"""What a bench is asked to do: the plan file and the command line, validated. What they name is in entries.py."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from harness.bench.notation import MOST_NUMBERS, comma_list
from harness.common.errors import HarnessError, UnknownName

EMBEDDED_DATASET = "glyphs"
NATIVE = "native"
PRETRAINED = "pretrained"  # in place of a file of weights: those that the backbone's library has on this machine
MOST_EPISODES = 1_000_000  # of each kind: more than any question needs, and their indices fit into memory


def _different(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Raises ValueError where one is there twice: the same seed twice, say, is no second training."""
    seen = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{value} is there twice")
        seen.add(value)
    return values


Whole = Annotated[int, Field(strict=True)]
Positive = Annotated[int, Field(strict=True, gt=0)]
Numbers = Annotated[tuple[Positive, ...], Field(min_length=1), AfterValidator(_different)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63)]


class BenchPlan(BaseModel):
    """A bench, as a TOML file or the command line states it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    methods: tuple[str, ...] = Field((), description="methods to compare: NAME, NAME:PRESET or LABEL=NAME:PRESET")
    floors: bool = Field(True, description="add rows for raw pixels and for an untrained backbone")
    dataset: Annotated[tuple[str, ...], AfterValidator(_different)] = Field(
        (EMBEDDED_DATASET,), min_length=1, description="datasets, a table each"
    )
    preset: str = Field("quick", description="preset of every method that names none of its own")
    backbone: str | None = Field(None, description="backbone of every method; default: what the preset says")
    weights: str | None = Field(None, description="file that every backbone starts from, or 'pretrained'")
    shots: Numbers = Field((1, 5), description="support images a class, k_shot")
    way: Numbers = Field((5,), description="classes an episode, n_way")
    queries: Whole = Field(15, gt=0, description="query images a class, n_query")
    episodes: Whole = Field(600, gt=1, le=MOST_EPISODES, description="test episodes of each kind")
    episode_seed: Seed = Field(0, description="seed of the test episodes and support views")
    seeds: Annotated[tuple[Seed, ...], AfterValidator(_different)] = Field(
        (0,), min_length=1, max_length=MOST_NUMBERS, description="training seeds"
    )
    classifier: str = Field(NATIVE, description="'native': each method's own head; else one classifier for all")
    transform: str | None = Field(None, description="feature transform of the head; default: the head's own")
    views: Whole | None = Field(None, gt=0, le=1000, description="copies of each support image; default: the head's")
    baseline: str | None = Field(None, description="row that all others are compared with, as rfs/simple")
    budget: Whole | None = Field(None, gt=0, description="images seen by every trained stage")
    set: Mapping[str, Any] = Field({}, description="options, as skd.alpha")
    sweep: Mapping[str, tuple[Any, ...]] = Field({}, description="values to try of options, a method each: skd.beta")
    rows: tuple[str, ...] = Field((), description="rows to show, as */gen1; what none of them needs is left out")
    train_on: Literal["train", "trainval"] = Field("train", description="base classes alone, or with validation's")
    test_dataset: str | None = Field(None, description="test on the novel classes of another dataset")
    score_on: Literal["test", "val"] = Field("test", description="score on the novel classes, or on validation's")
    image_size: Whole | None = Field(None, gt=0, description="pixels, for datasets without a size of their own")
    split: str | None = Field(None, description="base/validation/novel shares of the classes of folder:PATH: 60/20/20")
    split_seed: Seed = Field(0, description="which classes --split puts where")
    skip_damaged: bool = Field(False, description="leave out images of folder:PATH that cannot be read")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1")
    devices: Whole = Field(1, gt=0, le=1024, description="processes that train one stage together, a device each")
    precision: str = Field("auto", description="auto, bf16 or 32")
    threads: Whole | None = Field(None, gt=0, le=1024, description="CPU threads; default: all cores")


def validated(values: Mapping[str, Any]) -> BenchPlan:
    """Raises HarnessError where a value has the wrong type, is out of range, or does not go with another."""
    try:
        plan = BenchPlan.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).replace("_", "-")
        what = first["msg"].removeprefix("Value error, ")
        raise HarnessError(f"--{name} = {first['input']!r}: {what[0].lower()}{what[1:]}") from None

    if plan.train_on == "trainval" and "best-val" in _selections(plan):
        raise HarnessError("--train-on trainval leaves no validation classes to select on: drop the selection option")
    if plan.score_on == "val" and (plan.train_on != "train" or plan.test_dataset is not None):
        raise HarnessError("--score-on val scores on the dataset's own validation classes: drop --train-on trainval "
                           "and --test-dataset")  # fmt: skip
    return plan


def _selections(plan: BenchPlan) -> list[Any]:
    swept = [(name, value) for name, values in plan.sweep.items() for value in values]
    return [value for name, value in (*plan.set.items(), *swept) if name.endswith(".selection")]


def load_plan(path: Path | None, overrides: Mapping[str, Any]) -> BenchPlan:
    """The plan of a TOML file, changed by ``overrides`` (command-line values by field name, and ``set``).

    Raises:
        HarnessError: the file cannot be read, or a value is wrong.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise HarnessError(f"cannot read the plan {path}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise HarnessError(f"the plan {path} is not valid TOML: {error}") from None
    values = {name.replace("-", "_"): value for name, value in values.items()}
    for name in ("set", "sweep"):
        if not isinstance(table := values.get(name, {}), dict) or any("." not in key for key in _flat(table)):
            raise HarnessError(f"the plan {path}: [{name}] is a table of LABEL.OPTION = VALUE, found {table!r}")
    tables = {name: {**_flat(values.get(name, {})), **overrides.get(name, {})} for name in ("set", "sweep")}
    values.update({**overrides, **tables})
    for name in values:
        if name not in BenchPlan.model_fields:
            raise UnknownName(f"key in the plan {path}", name, BenchPlan.model_fields, "Keys")
    for name in ("methods", "dataset", "shots", "way", "seeds", "rows"):
        if isinstance(value := values.get(name), str):
            values[name] = comma_list(value, int if name in ("shots", "way", "seeds") else str, f"{name} =")
        elif value is not None and not isinstance(value, (list, tuple)):
            values[name] = [value]
    values["sweep"] = {
        name: value if isinstance(value, (list, tuple)) else [value] for name, value in values["sweep"].items()
    }
    return validated(values)


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """``{"skd": {"alpha": 2}}`` and ``{"skd.alpha": 2}`` both as the latter."""
    flat: dict[str, Any] = {}
    for label, value in table.items():
        flat.update({f"{label}.{name}": v for name, v in value.items()} if isinstance(value, dict) else {label: value})
    return flat
