"""What a bench is asked to do, as a TOML file or the command line states it. Read by harness/bench/plan.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MOST_NUMBERS = 10_000  # that one flag may name
EMBEDDED_DATASET = "glyphs"
DEFAULT_METHODS = ("protonet", "rfs", "skd")  # of a bench that names none; all installed ones where none of these is
ALL_METHODS = "all"
NATIVE = "native"
UNTRAINED = "none"  # in place of a file of weights: the backbone's own initialisation, whatever the preset names
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

    methods: tuple[str, ...] = Field(
        (), description="methods to compare, by commas: NAME, NAME:PRESET, LABEL=NAME:PRESET, or all"
    )
    floors: bool = Field(True, description="add rows for raw pixels and for an untrained backbone")
    dataset: Annotated[tuple[str, ...], AfterValidator(_different)] = Field(
        (EMBEDDED_DATASET,),
        min_length=1,
        description="datasets, by commas, a table each; a comma in a path is written \\,",
    )
    preset: str = Field("quick", description="preset of every method that names none of its own")
    backbone: str | None = Field(None, description="backbone of every method; default: what the preset says")
    weights: str | None = Field(
        None,
        description="what backbones start from: a file, RUN:ROW, 'pretrained' or 'none'; LABEL=… for one method",
    )
    shots: Numbers = Field((1, 5), description="support images a class, k_shot")
    way: Numbers = Field((5,), description="classes an episode, n_way")
    varied: str | None = Field(
        None, description="in place of --way and --shots: both drawn anew for each episode, WAY,SHOT as 5..20,1..10"
    )
    queries: Whole = Field(15, gt=0, description="query images a class, n_query")
    episodes: Whole = Field(600, gt=1, le=MOST_EPISODES, description="test episodes of each kind")
    episode_seed: Seed = Field(0, description="seed of the test episodes and support views")
    seeds: Annotated[tuple[Seed, ...], AfterValidator(_different)] = Field(
        (0,), min_length=1, max_length=MOST_NUMBERS, description="training seeds, as 0,1,2 or 0-2"
    )
    classifier: str = Field(NATIVE, description="'native': each method's own head; else one classifier for all")
    transform: str | None = Field(None, description="feature transform of the head; default: the head's own")
    views: Whole | None = Field(None, gt=0, le=1000, description="copies of each support image; default: the head's")
    embed: Literal["features", "logits"] = Field(
        "features", description="what heads classify: features, or the logits of the base classes"
    )
    predictions: bool = Field(
        True, description="keep what each query was taken for: which classes a method confuses, episode by episode"
    )
    baseline: str | None = Field(None, description="row that all others are compared with, as rfs/simple")
    equivalent: float | None = Field(
        None, gt=0, lt=100, description="accuracy points within which a row is practically equal to the baseline: 0.5"
    )
    budget: Whole | None = Field(
        None,
        gt=0,
        description="images that every trained stage sees, each view and copy counted, as images=2000000",
    )
    set: Mapping[str, Any] = Field({}, description="an option, as skd.alpha=2; may be repeated")
    sweep: Mapping[str, tuple[Any, ...]] = Field(
        {}, description="values of an option, a method each, as skd.beta=0.1,0.2; may be repeated"
    )
    rows: tuple[str, ...] = Field(
        (), description="rows to show, by commas, as */gen1; what none of them needs is left out"
    )
    train_on: Literal["train", "trainval"] = Field(
        "train", description="train: the base classes alone; trainval: with validation's"
    )
    test_dataset: str | None = Field(None, description="test on the novel classes of another dataset")
    augment: Literal["none", "standard", "strong"] = Field(
        "standard", description="random changes of training images: none; standard: the dataset's; strong"
    )
    score_on: Literal["test", "val"] = Field(
        "test", description="test: score on the novel classes; val: on validation's"
    )
    image_size: Whole | None = Field(None, gt=0, description="pixels, for datasets without a size of their own")
    split: str | None = Field(None, description="base/validation/novel shares of the classes of folder:PATH: 60/20/20")
    split_seed: Seed = Field(0, description="which classes --split puts where")
    skip_damaged: bool = Field(False, description="leave out images of folder:PATH that cannot be read")
    device: str = Field("auto", description="what computes: auto, cpu, cuda, cuda:1")
    devices: Whole = Field(1, gt=0, le=1024, description="processes that train one stage together, a device each")
    precision: str = Field("auto", description="number format: auto, bf16 or 32")
    threads: Whole | None = Field(None, gt=0, le=1024, description="CPU threads; default: all cores")
