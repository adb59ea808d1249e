"""What a bench is asked to do: the plan file and the command line, validated, and the entries that they name."""

from __future__ import annotations

import itertools
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from harness.errors import HarnessError, UnknownName
from harness.evaluation import transforms
from harness.options import MethodOptions, find_preset, resolve
from harness.plugins import checked_stages
from harness.types import EpisodeSpec, Head, MethodSpec

if TYPE_CHECKING:
    from harness.plugins import Catalogue

T = TypeVar("T")
EMBEDDED_DATASET = "glyphs"
NATIVE = "native"
MOST_EPISODES = 1_000_000  # of each kind: more than any question needs, and their indices fit into memory
MOST_NUMBERS = 10_000  # that one flag may name


def _different(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Raises ValueError where one is there twice: the same seed twice, say, is no second training."""
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{value} is there twice")
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
    weights: str | None = Field(None, description="safetensors file that every backbone starts from")
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
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1")
    devices: Whole = Field(1, gt=0, le=1024, description="processes that train one stage together, a device each")
    precision: str = Field("auto", description="auto, bf16 or 32")
    threads: Whole | None = Field(None, gt=0, le=1024, description="CPU threads; default: all cores")


@dataclass(frozen=True)
class Entry:
    """A method under a label: what it runs with, and how it is scored."""

    label: str
    method: MethodSpec
    preset: str
    options: MethodOptions
    backbone: str | None
    head: Head | None
    changed: tuple[str, ...] = ()  # options to which the plan gives another value than the preset
    transductive: bool = False  # it, or its head, looks at all queries of an episode at once

    def changed_for(self, stage: str) -> list[str]:
        """Those of ``changed`` that decide a stage: that it reads, or one that it is trained from."""
        stages = {each.name: each for each in self.method.stages(self.options)}
        reads: set[str] = set()
        before: str | None = stage
        while before is not None:
            reads.update(stages[before].reads)
            before = stages[before].parent
        return [name for name in self.changed if name in reads]


def validated(values: Mapping[str, Any]) -> BenchPlan:
    """Raises HarnessError where a value has the wrong type or is out of range."""
    try:
        return BenchPlan.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).replace("_", "-")
        what = first["msg"].removeprefix("Value error, ")
        raise HarnessError(f"--{name} = {first['input']!r}: {what[0].lower()}{what[1:]}") from None


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
    plan = validated(values)
    if plan.train_on == "trainval" and any(key.endswith(".selection") for key in (*plan.set, *plan.sweep)):
        raise HarnessError("--train-on trainval leaves no validation classes to select on: drop the selection option")
    if plan.score_on == "val" and (plan.train_on != "train" or plan.test_dataset is not None):
        raise HarnessError("--score-on val scores on the dataset's own validation classes: drop --train-on trainval "
                           "and --test-dataset")  # fmt: skip
    return plan


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """``{"skd": {"alpha": 2}}`` and ``{"skd.alpha": 2}`` both as the latter."""
    flat: dict[str, Any] = {}
    for label, value in table.items():
        flat.update({f"{label}.{name}": v for name, v in value.items()} if isinstance(value, dict) else {label: value})
    return flat


def parse_settings(texts: Sequence[str], flag: str = "--set") -> dict[str, Any]:
    """``{"skd.alpha": 2}`` of ``["skd.alpha=2"]``; see ``parse_setting``."""
    found: dict[str, Any] = {}
    for text in texts:
        name, value = parse_setting(text, flag)
        if name in found:
            raise HarnessError(f"{flag} {name} is given twice")
        found[name] = value
    return found


def parse_setting(text: str, flag: str = "--set") -> tuple[str, Any]:
    """``("skd.alpha", 2)`` of ``skd.alpha=2``. A list is written with commas; what is no JSON is a string."""
    name, equals, value = text.partition("=")
    if not equals or "." not in name or not value.strip():
        raise HarnessError(f"{flag} {text!r}: write it as LABEL.OPTION=VALUE, as in {flag} skd.alpha=2")
    return name.strip(), _value(value.strip())


def _value(text: str) -> Any:
    if "," in text and not text.startswith(("[", "{", '"')):
        return [_value(part.strip()) for part in text.split(",") if part.strip()]
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return {"True": True, "False": False, "None": None}.get(text, text)


def comma_list(text: str, kind: Callable[[str], T], flag: str) -> tuple[T, ...]:
    """``1,5`` as (1, 5); ``0-4`` as (0, 1, 2, 3, 4) where ``kind`` is int."""
    values: list[Any] = []
    example = "Write it as 1,5 or 0-4" if kind is int else "Separate names by commas"
    for part in filter(None, (part.strip() for part in text.split(","))):
        first, dash, last = part.partition("-")
        try:
            if kind is int and dash and first:
                span = range(int(first), int(last) + 1)
                if not 0 < len(span) <= MOST_NUMBERS:
                    found = f"{len(span):,} numbers; at most {MOST_NUMBERS:,} go" if span else "no number"
                    raise HarnessError(f"{flag} {text!r}: {part!r} names {found}. {example}")
                values.extend(span)
            else:
                values.append(kind(part))
        except ValueError:
            raise HarnessError(f"{flag} {text!r}: {part!r} is no whole number. {example}") from None
    if not values:
        raise HarnessError(f"{flag} {text!r} names nothing. {example}")
    return tuple(values)


def parse_budget(text: str) -> int:
    """2000000 of ``images=2000000``."""
    name, _, value = text.partition("=")
    digits = value.replace("_", "")
    if name != "images" or not digits.isdigit() or int(digits) == 0:
        raise HarnessError(f"--budget {text!r}: write it as images=N, as in --budget images=2000000")
    return int(digits)


def entries(plan: BenchPlan, dataset: str, catalogue: Catalogue) -> list[Entry]:
    """The methods of a plan on a dataset, floors first, with their options resolved.

    Raises:
        UnknownName: no such method, preset, label, option, backbone or classifier.
        HarnessError: two methods under one label, or a value that an option refuses.
    """
    asked = _asked(plan, catalogue)
    labels = [label for label, _, _ in asked]
    overrides = _by_label(plan.set, labels, "--set")
    if plan.transform is not None:
        transforms.check(plan.transform)
    if plan.weights is not None and not Path(plan.weights).is_file():
        raise HarnessError(f"--weights {plan.weights}: no such file")
    swept = _by_label(plan.sweep, labels, "--sweep")
    if plan.backbone is not None:
        catalogue.backbone(plan.backbone)
    if plan.classifier != NATIVE:
        catalogue.classifier(plan.classifier)
    found = []
    for label, method, preset in asked:
        backbone = _backbone(plan, method, preset, asked) if method.uses_backbone else None
        head = choose_head(plan, method)
        transductive = method.transductive or (head is not None and catalogue.classifier(head.classifier).transductive)
        for name, values in combinations(label, swept[label]):
            changes = {**overrides[label], **values}
            options = resolve(method, preset, dataset, _budget(plan, method), changes, label=label)
            checked_stages(method, options)
            offered = resolve(method, preset, dataset, _budget(plan, method))
            changed = tuple(name for name in changes if getattr(options, name) != getattr(offered, name))
            found.append(Entry(name, method, preset, options, backbone, head, changed, transductive))
    return found


def _by_label(settings: Mapping[str, Any], labels: Sequence[str], flag: str) -> dict[str, dict[str, Any]]:
    """``{"skd.alpha": 2}`` as ``{"skd": {"alpha": 2}}``, with an entry for every label."""
    found: dict[str, dict[str, Any]] = {label: {} for label in labels}
    for key, value in settings.items():
        label, _, option = key.partition(".")
        if label not in found:
            raise UnknownName(f"label in {flag}", label, labels, "Labels")
        found[label][option] = value
    return found


def combinations(label: str, swept: Mapping[str, Sequence[Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Every combination of the swept values with a label of its own, ``skd beta=0.1``; none swept: the label alone.

    Raises:
        HarnessError: an option is swept over no value, or over one value twice.
    """
    for option, values in swept.items():
        shown = [_shown(value) for value in values]
        if not shown or len(set(shown)) < len(shown):
            raise HarnessError(f"--sweep {label}.{option} = {', '.join(shown)}: give it one or more different values")
    found = []
    for values in itertools.product(*swept.values()):
        chosen = dict(zip(swept, values, strict=True))
        found.append((" ".join([label, *(f"{name}={_shown(value)}" for name, value in chosen.items())]), chosen))
    return found


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _asked(plan: BenchPlan, catalogue: Catalogue) -> list[tuple[str, MethodSpec, str]]:
    names = plan.methods or tuple(sorted(name for name, method in catalogue.methods.items() if not method.floor))
    floors = [name for name, method in catalogue.methods.items() if method.floor and plan.floors]
    asked: dict[str, tuple[str, MethodSpec, str]] = {}
    for text in (*(floor for floor in floors if floor not in plan.methods), *names):
        label, equals, target = text.partition("=")
        name, _, preset = (target if equals else text).partition(":")
        label = label if equals else name
        if not label or "/" in label or "." in label:
            raise HarnessError(f"the label {label!r} in --methods may not be empty or hold '/' or '.'")
        if label in asked:
            raise HarnessError(
                f"two methods are labelled {label!r}; give one a label of its own: {label}-2={name}:{preset or 'paper'}"
            )
        method = catalogue.method(name)
        if preset:
            find_preset(method, preset)
        asked[label] = (label, method, preset or _usable_preset(plan, method))
    return list(asked.values())


def _usable_preset(plan: BenchPlan, method: MethodSpec) -> str:
    """The plan's preset. Floors have none, and nothing to choose."""
    if method.presets:
        find_preset(method, plan.preset)
    return plan.preset


def _backbone(plan: BenchPlan, method: MethodSpec, preset: str, asked: Sequence[tuple[str, MethodSpec, str]]) -> str:
    """The plan's backbone, else the preset's; a method without presets, as a floor, takes the first one's beside it."""
    if plan.backbone:
        return plan.backbone
    if not method.presets:
        for _, other, other_preset in asked:
            if other.presets:
                return find_preset(other, other_preset).backbone
    return find_preset(method, preset).backbone


def _budget(plan: BenchPlan, method: MethodSpec) -> dict[str, Any]:
    """Every option that is a training length in images: ``images``, or ``gen1_images`` of one stage."""
    fields = method.options.model_fields
    return {name: plan.budget for name in fields if plan.budget and (name == "images" or name.endswith("_images"))}


def choose_head(plan: BenchPlan, method: MethodSpec) -> Head | None:
    """The head that a method is scored with. One classifier for all means one transform and views for all too."""
    if method.head is None:
        return None
    head = method.head if plan.classifier == NATIVE else Head(plan.classifier, "l2", 1)
    changes: dict[str, Any] = {"transform": plan.transform, "views": plan.views}
    return replace(head, **{name: value for name, value in changes.items() if value is not None})


def episode_specs(plan: BenchPlan) -> Sequence[EpisodeSpec]:
    return [EpisodeSpec(way, shot, plan.queries) for way in plan.way for shot in plan.shots]
