"""Start a backbone from given weights, under whatever names the file has them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.errors import DataError

if TYPE_CHECKING:
    import torch

    Tensors = Mapping[str, torch.Tensor]

NESTED = 4  # dicts in dicts that are looked into
OPTIONAL = ("drop_steps", "num_batches_tracked")  # counts, absent in files of other networks and of old torch versions
HEAD = re.compile(r"(fc|cls|linear|logits?|last.*|.*(class|head|proj|predict|rot|temp|scale).*)[\d_]*")


@dataclass(frozen=True)
class Fit:
    """How a backbone's tensors are found in one dict of the file, as far as they are."""

    entry: str  # where in the file the dict is: "model", "ema.state_dict"; empty: the file itself
    tensors: Tensors  # that dict's
    spelling: str  # whose names they have; empty: the backbone's own
    prefix: str  # in front of every name
    names: Mapping[str, str]  # the backbone's name → the file's, also where the file lacks it
    backbone_tensors: Tensors

    @property
    def missing(self) -> list[str]:
        absent = [
            backbone_name
            for backbone_name, name in self.names.items()
            if name not in self.tensors and not backbone_name.endswith(OPTIONAL)
        ]
        return sorted(absent)

    @property
    def misshapen(self) -> list[str]:
        there = [backbone_name for backbone_name, name in self.names.items() if name in self.tensors]
        return sorted(
            backbone_name
            for backbone_name in there
            if self.tensors[self.names[backbone_name]].shape != self.backbone_tensors[backbone_name].shape
        )

    @property
    def others(self) -> list[str]:
        """The file's further tensors, those apart that are one of the backbone's under a second name."""
        used = set(self.names.values())
        places = {self.tensors[name].data_ptr() for name in used if name in self.tensors}
        return sorted(
            name
            for name, tensor in self.tensors.items()
            if name not in used and not name.endswith(OPTIONAL) and tensor.data_ptr() not in places
        )

    @property
    def unknown(self) -> list[str]:
        """Those of ``others`` that lie where the backbone does and are no head: parts of another network."""
        parts = {name: name.removeprefix(self.prefix) for name in self.others if name.startswith(self.prefix)}
        return [name for name, part in parts.items() if not HEAD.fullmatch(part.partition(".")[0])]

    @property
    def whole(self) -> bool:
        return not (self.missing or self.misshapen)

    @property
    def fitting(self) -> int:
        """How many of the backbone's tensors are there, of the right shape."""
        return sum(name in self.tensors for name in self.names.values()) - len(self.misshapen)

    def describe(self) -> str:
        """``62 tensors of 'model', named as in RFS, without 'module.'; ignored: 2 …, 'classifier.bias' first``."""
        others = self.others
        return "".join(
            [
                f"{self.fitting} tensors",
                f" of {self.entry!r}" if self.entry else "",
                f", named as {self.spelling}" if self.spelling else "",
                f", without {self.prefix!r}" if self.prefix else "",
                f"; ignored: {len(others)} of heads and other parts, {others[0]!r} first" if others else "",
            ]
        )

    def shortcoming(self) -> str:
        """What keeps these tensors from being the backbone's, in one line."""
        missing, misshapen, unknown = self.missing, self.misshapen, self.unknown
        parts = []
        if missing:
            parts.append(
                f"{len(missing)} of its {len(self.backbone_tensors)} tensors are missing, {missing[0]!r} first"
            )
        if unknown:
            parts.append(f"{len(unknown)} are unexpected, {unknown[0]!r} first")
        if misshapen:
            shape = tuple(self.tensors[self.names[misshapen[0]]].shape)
            needed = tuple(self.backbone_tensors[misshapen[0]].shape)
            parts.append(
                f"{len(misshapen)} have another shape, {misshapen[0]!r} first: {shape}, this backbone needs {needed} "
                "(trained at another image size, or with other channels?)"
            )
        return f"not of this backbone: {'; '.join(parts)}"


def load_weights(backbone: torch.nn.Module, file: Path) -> str:
    """Start ``backbone`` from the weights in a file, DropBlock's schedule from its beginning; one line on how they fit.

    The weights may lie in a dict in the file (``state_dict``, ``model``, …), with prefixes (``module.backbone.``)
    before the backbone's own names or those of its ``spellings``. Heads and other parts beside it are ignored.

    Raises:
        DataError: the file cannot be read (see ``read_weights``), holds another network or only a part of this one,
            several that fit, or values that are not finite.
    """
    import torch

    from harness.networks.backbones.dropblock import restart_schedules
    from harness.networks.backbones.weight_files import read_weights

    backbone_tensors: Tensors = backbone.state_dict()
    fit = _best_fit(backbone, backbone_tensors, read_weights(file), file)
    loaded = {
        backbone_name: fit.tensors.get(name, backbone_tensors[backbone_name])
        for backbone_name, name in fit.names.items()
    }
    bad = sorted(backbone_name for backbone_name, tensor in loaded.items() if not torch.isfinite(tensor).all())
    if bad:
        raise DataError(f"weights {file}: {len(bad)} tensors hold values that are not finite, {bad[0]!r} first")
    backbone.load_state_dict(loaded)
    restart_schedules(backbone)
    return f"weights {file}: {fit.describe()}"


def _best_fit(backbone: torch.nn.Module, backbone_tensors: Tensors, content: Any, file: Path) -> Fit:
    dicts = list(_dicts_of_tensors(content))
    if not dicts:
        raise DataError(f"weights {file}: holds no dict of tensors: save torch.save(model.state_dict(), FILE)")
    spellings: Mapping[str, Mapping[str, str]] = {"": {}, **getattr(backbone, "spellings", {})}
    fits = list(_fits(dicts, spellings, backbone_tensors))
    convert: Any = getattr(backbone, "converted", None)
    if convert is not None and not any(fit.whole for fit in fits):
        converted = [(entry, convert(fit.tensors, fit.prefix)) for entry, fit in _best_fit_of_each_dict(fits)]
        fits += _fits([(entry, tensors) for entry, tensors in converted if tensors], spellings, backbone_tensors)
    if not fits:
        entry, tensors = max(dicts, key=lambda dict_of_tensors: len(dict_of_tensors[1]))
        raise DataError(
            f"weights {file}: not of this backbone: none of its {len(backbone_tensors)} tensors is among the "
            f"{len(tensors)} of {entry or 'the file'} (there: {next(iter(tensors))!r}; wanted: "
            f"{next(iter(backbone_tensors))!r})"
        )
    best = max(fits, key=lambda fit: (fit.whole, not fit.unknown, fit.fitting, -len(fit.missing)))
    networks: list[Fit] = []
    for fit in fits:
        if fit.whole and not any(_load_same_values(fit, other) for other in networks):
            networks.append(fit)
    if len(networks) > 1:
        places = [" ".join(filter(None, (fit.entry, fit.prefix))) or "the top" for fit in networks]
        raise DataError(
            f"weights {file}: holds {len(places)} networks that fit, at {', '.join(places)}: save the one that "
            "you mean in a file of its own"
        )
    if not best.whole or best.unknown:
        raise DataError(f"weights {file}: {best.shortcoming()}")
    return best


def _best_fit_of_each_dict(fits: Sequence[Fit]) -> list[tuple[str, Fit]]:
    """The best fit of each dict in the file, with the dict's place."""
    best: dict[str, Fit] = {}
    for fit in sorted(fits, key=lambda candidate: candidate.fitting):
        best[fit.entry] = fit
    return list(best.items())


def _dicts_of_tensors(content: Any, entry: str = "", depth: int = NESTED) -> Iterator[tuple[str, Tensors]]:
    """Every dict in the file that holds tensors by name, and where it is."""
    import torch

    if not isinstance(content, Mapping) or depth == 0:
        return
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and torch.is_tensor(value)}
    if tensors:
        yield entry, tensors
    for name, value in content.items():
        yield from _dicts_of_tensors(value, f"{entry}.{name}" if entry else str(name), depth - 1)


def _fits(
    dicts: Sequence[tuple[str, Tensors]], spellings: Mapping[str, Mapping[str, str]], backbone_tensors: Tensors
) -> Iterator[Fit]:
    """For each dict, spelling and prefix that has any of the wanted tensors, what it has of them."""
    for entry, tensors in dicts:
        for spelling, parts in spellings.items():
            spelt = {backbone_name: _spell(backbone_name, parts) for backbone_name in backbone_tensors}
            for prefix in _prefixes(tensors, set(spelt.values())):
                names = {backbone_name: prefix + name for backbone_name, name in spelt.items()}
                yield Fit(entry, tensors, spelling, prefix, names, backbone_tensors)


def _spell(name: str, parts: Mapping[str, str]) -> str:
    """A name of the backbone's in another spelling: its beginning replaced, as ``parts`` says."""
    for beginning, other in parts.items():
        if name.startswith(beginning):
            return other + name.removeprefix(beginning)
    return name


def _prefixes(tensors: Tensors, names: set[str]) -> list[str]:
    """What stands before the wanted names in the file, the most frequent first."""
    counts: Counter[str] = Counter()
    for name in tensors:
        parts = name.split(".")
        for start in range(len(parts)):
            if ".".join(parts[start:]) in names:
                counts["".join(f"{part}." for part in parts[:start])] += 1
    most = max(counts.values(), default=0)
    return [prefix for prefix, count in counts.items() if count == most]


def _load_same_values(one: Fit, other: Fit) -> bool:
    """Whether two fits load the same values."""
    import torch

    def equal(backbone_name: str) -> bool:
        first, second = one.tensors.get(one.names[backbone_name]), other.tensors.get(other.names[backbone_name])
        if first is None or second is None:
            return first is second
        return first is second or torch.equal(first, second)

    return all(equal(backbone_name) for backbone_name in one.backbone_tensors if not backbone_name.endswith(OPTIONAL))
