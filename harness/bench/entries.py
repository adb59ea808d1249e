"""What a plan names, looked up: its methods with their options, backbones and heads."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.bench.weights import given_weights, preset_weights
from harness.catalogue.validation import checked_stages
from harness.common.errors import HarnessError, UnknownName
from harness.contract.episodes import EpisodeSpec
from harness.contract.heads import Head
from harness.contract.methods import MethodSpec, deciding
from harness.contract.names import MethodReference, OptionName
from harness.contract.plan import ALL_METHODS, DEFAULT_METHODS, NATIVE, UNTRAINED, BenchPlan
from harness.contract.presets import find_preset, resolve

if TYPE_CHECKING:
    from harness.catalogue.catalogue import Catalogue
    from harness.contract.methods import Preset
    from harness.contract.options import MethodOptions


VARIED = re.compile(r"(\d+)\.\.(\d+),(\d+)\.\.(\d+)")


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
    offered: MethodOptions | None = None  # the preset's options, before the plan's changes
    transductive: bool = False  # it, or its head, looks at all queries of an episode at once
    weights: str | None = None  # 'pretrained' or the file that its backbone starts from; None: untrained

    def note(self, dataset: str) -> str:
        """What the preset has a reader of the dataset's table know; nothing where the plan changed its options."""
        preset = self.method.presets.get(self.preset)
        return "" if preset is None or self.changed else preset.notes.get(dataset, "")

    def changed_for(self, stage: str) -> list[str]:
        """Those of ``changed`` that decide a stage, or decide it as the preset has them."""
        reads = self.reads(stage) | self.reads(stage, self.offered)
        return [name for name in self.changed if name in reads]

    def reads(self, stage: str, options: MethodOptions | None = None) -> set[str]:
        """The options that decide a stage, or one that it is trained from; none where there is no such stage.

        Args:
            options: in place of the entry's own.
        """
        stages = self.method.stages(options or self.options)
        if all(candidate.name != stage for candidate in stages):
            return set()
        return deciding(stages, stage, self.method.options.model_fields)


def entries(plan: BenchPlan, dataset: str, catalogue: Catalogue) -> list[Entry]:
    """The methods of a plan on a dataset, floors first, with their options resolved.

    Raises:
        UnknownName: no such method, preset, label, option, backbone or classifier.
        HarnessError: two methods under one label, a value that an option refuses, or weights that are not there.
    """
    asked = _requested_methods(plan, catalogue)
    labels = [label for label, _, _ in asked]
    overrides = _group_by_label(plan.set, labels, "--set")
    given = given_weights(plan.weights, [label for label, method, _ in asked if method.uses_backbone])
    swept = _group_by_label(plan.sweep, labels, "--sweep")
    if plan.backbone is not None:
        catalogue.backbone(plan.backbone)
    if plan.classifier != NATIVE:
        catalogue.classifier(plan.classifier)
    plan_entries = []
    for requested in asked:
        label, method, preset = requested
        backbone, weights = _start(plan, requested, asked, given)
        if method.needs_weights and weights is None:
            _refuse_where_named(plan, label)
            continue
        head = choose_head(plan, method, catalogue)
        transductive = method.transductive or (head is not None and catalogue.classifier(head.classifier).transductive)
        for name, values in combinations(label, swept[label]):
            changes = {**overrides[label], **values}
            options = resolve(method, preset, dataset, _budget(plan, method), changes, label=label)
            checked_stages(method, options)
            offered = resolve(method, preset, dataset, _budget(plan, method))
            changed = tuple(name for name in changes if getattr(options, name) != getattr(offered, name))
            plan_entries.append(
                Entry(name, method, preset, options, backbone, head, changed, offered, transductive, weights)
            )
    return plan_entries


def _group_by_label(settings: Mapping[str, Any], labels: Sequence[str], flag: str) -> dict[str, dict[str, Any]]:
    """``{"skd.alpha": 2}`` as ``{"skd": {"alpha": 2}}``, with an entry for every label."""
    by_label: dict[str, dict[str, Any]] = {label: {} for label in labels}
    for key, value in settings.items():
        name = OptionName.parse(key)
        if name.label not in by_label:
            raise UnknownName(f"label in {flag}", name.label, labels, "Labels")
        by_label[name.label][name.option] = value
    return by_label


def combinations(label: str, swept: Mapping[str, Sequence[Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Every combination of the swept values with a label of its own, ``skd beta=0.1``; none swept: the label alone.

    Raises:
        HarnessError: an option is swept over no value, or over one value twice.
    """
    for option, values in swept.items():
        shown = [_shown(value) for value in values]
        if not shown or len(set(shown)) < len(shown):
            raise HarnessError(f"--sweep {label}.{option} = {', '.join(shown)}: give it one or more different values")
    labelled = []
    for values in itertools.product(*swept.values()):
        chosen = dict(zip(swept, values, strict=True))
        labelled.append((" ".join([label, *(f"{name}={_shown(value)}" for name, value in chosen.items())]), chosen))
    return labelled


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _requested_methods(plan: BenchPlan, catalogue: Catalogue) -> list[tuple[str, MethodSpec, str]]:
    names = _method_names(plan, catalogue)
    floors = [name for name, method in catalogue.methods.items() if method.floor and plan.floors]
    asked: dict[str, tuple[str, MethodSpec, str]] = {}
    for text in (*(floor for floor in floors if floor not in plan.methods), *names):
        reference = MethodReference.parse(text)
        label = reference.label
        if label in asked:
            other = MethodReference(f"{label}-2", reference.method, reference.preset or "paper")
            raise HarnessError(f"two methods are labelled {label!r}; give one a label of its own: {other}")
        method = catalogue.method(reference.method)
        if reference.preset:
            find_preset(method, reference.preset)
        asked[label] = (label, method, reference.preset or _usable_preset(plan, method))
    return list(asked.values())


def _method_names(plan: BenchPlan, catalogue: Catalogue) -> Sequence[str]:
    """Those of the plan, of which ``all`` is every installed one that trains; where it names none, the default ones."""
    installed = sorted(name for name, method in catalogue.methods.items() if not (method.floor or method.stored))
    if not plan.methods:
        return [name for name in installed if name in DEFAULT_METHODS] or installed
    if ALL_METHODS not in plan.methods:
        return plan.methods
    named = [MethodReference.parse(text).label for text in plan.methods]
    others = [name for name in installed if name not in named]
    i = plan.methods.index(ALL_METHODS)
    return [*plan.methods[:i], *others, *plan.methods[i + 1 :]]


def _usable_preset(plan: BenchPlan, method: MethodSpec) -> str:
    """The plan's preset. Floors have none, and nothing to choose."""
    if method.presets:
        find_preset(method, plan.preset)
    return plan.preset


def _start(
    plan: BenchPlan,
    requested: tuple[str, MethodSpec, str],
    asked: Sequence[tuple[str, MethodSpec, str]],
    given: Mapping[str, str],
) -> tuple[str | None, str | None]:
    """A method's backbone and the weights it starts from: as the plan says, else as the preset does."""
    label, method, name = requested
    if not method.uses_backbone:
        return None, None
    preset = _shaping(method, name, asked)
    backbone = plan.backbone or preset.backbone
    start = given.get(label) or preset_weights(preset, backbone, label)
    return backbone, None if start == UNTRAINED else start


def _refuse_where_named(plan: BenchPlan, label: str) -> None:
    """Raises HarnessError where the plan names a method that has no weights to be scored; ``all`` is all that have."""
    if label in [MethodReference.parse(text).label for text in plan.methods]:
        raise HarnessError(
            f"{label} learns nothing itself, so its backbone must be given weights: --weights {label}=FILE, or "
            "--backbone timm:resnet18 --weights pretrained"
        )


def _shaping(method: MethodSpec, preset: str, asked: Sequence[tuple[str, MethodSpec, str]]) -> Preset:
    """The preset that names a method's backbone: its own; without presets, as a floor, the first one's beside it."""
    if not method.presets:
        for _, other, other_preset in asked:
            if other.presets:
                return find_preset(other, other_preset)
    return find_preset(method, preset)


def _budget(plan: BenchPlan, method: MethodSpec) -> dict[str, Any]:
    """Every option that is a training length in images: ``images``, or ``gen1_images`` of one stage."""
    fields = method.options.model_fields
    return {name: plan.budget for name in fields if plan.budget and (name == "images" or name.endswith("_images"))}


def choose_head(plan: BenchPlan, method: MethodSpec, catalogue: Catalogue) -> Head | None:
    """The head that a method is scored with. One classifier for all means one transform and views for all too."""
    if method.head is None:
        return None
    head = method.head if plan.classifier == NATIVE else Head(plan.classifier, "l2", 1)
    logits = plan.embed if not method.floor else None  # a floor has no base classes to tell apart
    changes: dict[str, Any] = {"transform": plan.transform, "views": plan.views, "embed": logits}
    head = replace(head, **{name: value for name, value in changes.items() if value is not None})
    catalogue.head(head)  # all that it names is there
    return head


def episode_specs(plan: BenchPlan) -> Sequence[EpisodeSpec]:
    """What an episode of each setting looks like. HarnessError: ``varied`` says no way and shot."""
    if plan.varied is None:
        return [EpisodeSpec(way, shot, plan.queries) for way in plan.way for shot in plan.shots]
    bounds = VARIED.fullmatch(plan.varied.replace(" ", ""))
    if bounds is None:
        raise HarnessError(f"--varied {plan.varied!r}: say the bounds of way and shot, as 5..20,1..10")
    least_way, most_way, least_shot, most_shot = map(int, bounds.groups())
    return [EpisodeSpec(most_way, most_shot, plan.queries, 0.0, least_way, least_shot)]
