"""The catalogue of what is installed: discovered, validated, looked up by name. What is broken is kept, with why."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pluggy
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from harness.catalogue.importing import why_not_imported
from harness.catalogue.listeners import Listeners
from harness.catalogue.output import standard_output_kept
from harness.catalogue.validation import validate
from harness.common.errors import HarnessError, PluginError, UnknownName, one_line
from harness.common.version import __version__
from harness.contract import hooks as hookspecs
from harness.contract.backbones import BackboneSpec
from harness.contract.data import DatasetSpec
from harness.contract.heads import ClassifierSpec, Head, TransformSpec
from harness.contract.methods import MethodSpec
from harness.contract.names import PartReference
from harness.contract.reporters import ReporterSpec
from harness.contract.trackers import TrackerSpec
from harness.evaluation.heads import LoadedHead

GROUP = "harness"

DISTRIBUTION = "fsl-harness"

OFFERS: Mapping[str, tuple[str, type]] = {
    "harness_datasets": ("dataset", DatasetSpec),
    "harness_backbones": ("backbone", BackboneSpec),
    "harness_methods": ("method", MethodSpec),
    "harness_classifiers": ("classifier", ClassifierSpec),
    "harness_transforms": ("feature transform", TransformSpec),
    "harness_reporters": ("report format", ReporterSpec),
    "harness_trackers": ("tracker", TrackerSpec),
}


@dataclass(frozen=True)
class Broken:
    """A plugin, or one name that it offers, that cannot be used."""

    plugin: str
    reason: str  # one line
    name: str = ""  # what the user might ask for: the entry point's name, or the disputed name


class Catalogue:
    """Everything that plugins offer, by kind and name. Names are unique; two that clash are both refused."""

    def __init__(self, plugins: Iterable[tuple[str, Any]] = ()) -> None:
        """A catalogue of these (name, plugin) pairs, in this order, and of nothing else."""
        self.broken: list[Broken] = []
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)
        self._offered: dict[str, dict[str, Any]] = {kind: {} for kind, _ in OFFERS.values()}
        self._owner: dict[tuple[str, str], str] = {}
        self._clashes: dict[tuple[str, str], str] = {}
        self.listeners = Listeners(self._manager, self._register)
        for name, plugin in plugins:
            self.add(name, plugin)

    @classmethod
    def discover(cls) -> Catalogue:
        """The catalogue of what the harness brings and of every installed plugin, loaded one by one."""
        from harness.catalogue import builtin

        catalogue = cls([(DISTRIBUTION, builtin)])
        for entry in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
            plugin = entry.dist.name if entry.dist else entry.name
            try:
                _refuse_newer_api(entry.dist)
                with standard_output_kept():
                    module = entry.load()
            except (Exception, SystemExit) as error:
                catalogue.broken.append(Broken(plugin, why_not_imported(error), entry.name))
            else:
                catalogue.add(plugin, module, entry.name)
        return catalogue

    def add(self, plugin: str, module: Any, name: str = "") -> None:
        """Take in what ``module`` offers; if it breaks the contract, none of it, and list it in ``broken``."""
        # one distribution may bring several plugins
        plugin_name = f"{plugin}:{name}" if self._manager.has_plugin(plugin) else plugin
        try:
            with standard_output_kept():
                self._register(plugin_name, module)
                offers = list(self._collect_offers(plugin_name))
        except (Exception, SystemExit) as error:
            if self._manager.get_plugin(plugin_name) is module:
                self._manager.unregister(name=plugin_name)
            self.broken.append(Broken(plugin, one_line(error), name or plugin))
            return
        for kind, spec in offers:
            self._add_offer(plugin, kind, spec)

    def _register(self, plugin: str, module: Any) -> None:
        for attribute in dir(module):
            if attribute.startswith("harness_") and not hasattr(getattr(module, attribute), f"{GROUP}_impl"):
                if callable(getattr(module, attribute)):
                    raise PluginError(f"{attribute}() lacks its decorator: put @harness.hookimpl above it")
            elif hasattr(getattr(module, attribute, None), f"{GROUP}_impl") and not hasattr(hookspecs, attribute):
                hooks = [name for name in vars(hookspecs) if name.startswith("harness_")]
                raise UnknownName("hook", attribute, hooks, "Hooks")
        self._manager.register(module, name=plugin)
        self._manager.check_pending()

    def _collect_offers(self, plugin: str) -> Iterator[tuple[str, Any]]:
        for hook, (kind, expected) in OFFERS.items():
            for implementation in getattr(self._manager.hook, hook).get_hookimpls():
                if implementation.plugin_name != plugin:
                    continue
                offered = implementation.function()
                if not isinstance(offered, Iterable | None):
                    raise PluginError(f"{hook}() returned a {type(offered).__name__}: put it into a list")
                for spec in offered or ():
                    if not isinstance(spec, expected):
                        raise PluginError(f"{hook}() returned a {type(spec).__name__}, not a {expected.__name__}")
                    validate(spec)
                    yield kind, spec

    def _add_offer(self, plugin: str, kind: str, spec: Any) -> None:
        if (kind, spec.name) not in self._owner:
            self._owner[kind, spec.name] = plugin
            self._offered[kind][spec.name] = spec
            return
        owner = self._owner[kind, spec.name]
        remedy = "uninstall one of them" if owner != plugin else "one of them needs another name"
        reason = f"{kind} {spec.name!r} is offered by {owner} and again by {plugin}: {remedy}"
        self._offered[kind].pop(spec.name, None)
        self._clashes[kind, spec.name] = reason
        self.broken.append(Broken(plugin, reason, spec.name))

    @property
    def methods(self) -> Mapping[str, MethodSpec]:
        return self._offered["method"]

    @property
    def datasets(self) -> Mapping[str, DatasetSpec]:
        return self._offered["dataset"]

    @property
    def backbones(self) -> Mapping[str, BackboneSpec]:
        return self._offered["backbone"]

    @property
    def classifiers(self) -> Mapping[str, ClassifierSpec]:
        return self._offered["classifier"]

    @property
    def transforms(self) -> Mapping[str, TransformSpec]:
        return self._offered["feature transform"]

    @property
    def reporters(self) -> Mapping[str, ReporterSpec]:
        return self._offered["report format"]

    @property
    def trackers(self) -> Mapping[str, TrackerSpec]:
        return self._offered["tracker"]

    def method(self, name: str) -> MethodSpec:
        return self._find("method", name)

    def classifier(self, name: str) -> ClassifierSpec:
        return self._find("classifier", name)

    def head(self, head: Head) -> LoadedHead:
        """A head with what it names.

        Raises:
            UnknownName: no such classifier or transform.
            HarnessError: its transforms do not follow each other so.
        """
        transforms = [self._find("feature transform", name) for name in head.transform.split("+")]
        return LoadedHead(head, self.classifier(head.classifier), tuple(transforms))

    def reporter(self, name: str) -> ReporterSpec:
        return self._find("report format", name)

    def tracker(self, name: str) -> TrackerSpec:
        return self._find("tracker", name)

    def notify(self, hook: str, report: Callable[[str], None], **arguments: Any) -> None:
        """Call each implementation of a notifying hook on its own. One that raises is reported and switched off."""
        self.listeners.notify(hook, report, **arguments)

    def dataset(self, name: str) -> tuple[DatasetSpec, str | None]:
        """The dataset, and what stands behind the colon of ``folder:PATH``. Capital and small letters are the same."""
        reference = PartReference.parse(name)
        [spelling, *others] = [known for known in self.datasets if known.lower() == reference.name.lower()] or [name]
        if not others and spelling != reference.name:
            name = str(PartReference(spelling, reference.argument))
        try:
            return self._find_with_argument("dataset", name)
        except UnknownName:
            if not _is_path(name):
                raise
            known = ", ".join(sorted(self.datasets))
            raise HarnessError(
                f"unknown dataset {name!r}. For your own images there, write folder:{name}. Installed: {known}"
            ) from None

    def dataset_name(self, name: str) -> str:
        """``name`` spelt as the dataset spells itself: ``CIFAR-FS`` of ``cifar-fs``.

        Raises:
            HarnessError: there is none.
        """
        spec, argument = self.dataset(name)
        return str(PartReference(spec.name, argument))

    def backbone(self, name: str) -> tuple[BackboneSpec, str | None]:
        """The backbone, and what stands behind the colon of ``timm:resnet18``."""
        return self._find_with_argument("backbone", name)

    def owner(self, kind: str, name: str) -> str:
        """The distribution that offers ``name``."""
        return self._owner[kind, name]

    def _find_with_argument(self, kind: str, name: str) -> tuple[Any, str | None]:
        reference = PartReference.parse(name)
        spec = self._find(kind, reference.name)
        if bool(reference.argument) != spec.takes_argument:
            form = f"{reference.name}:NAME" if spec.takes_argument else reference.name
            raise HarnessError(f"{kind} {name!r}: write it as {form!r}. {spec.title}")
        return spec, reference.argument

    def _find(self, kind: str, name: str) -> Any:
        if name in self._offered[kind]:
            return self._offered[kind][name]
        if (kind, name) in self._clashes:
            raise PluginError(self._clashes[kind, name])
        for broken in self.broken:
            if name == broken.name:
                raise PluginError(f"{kind} {name!r} is installed but broken: {broken.reason}")
        raise UnknownName(kind, name, self._offered[kind], "Installed")


def _is_path(name: str) -> bool:
    """Whether a name means a place on disk: it looks like a path, or is one."""
    return name.startswith(("~", ".")) or "/" in name or os.sep in name or os.path.exists(name)


def _refuse_newer_api(distribution: importlib.metadata.Distribution | None) -> None:
    for line in (distribution.requires or []) if distribution else []:
        with contextlib.suppress(InvalidRequirement):
            requirement = Requirement(line)
            other = canonicalize_name(requirement.name) != DISTRIBUTION
            if other or (requirement.marker and not requirement.marker.evaluate()):
                continue
            installed = __version__
            if not requirement.specifier.contains(installed, prereleases=True):
                raise PluginError(f"it needs {requirement}, installed is {installed}: pip install -U '{requirement}'")
