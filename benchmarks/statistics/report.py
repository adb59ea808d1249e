"""The tables of simulate.py, in Markdown."""

from __future__ import annotations

import platform
from collections.abc import Sequence

import model
import numpy as np
import scipy
import torch
from model import Setting

ALPHA = 0.05
TRUTHS = {"closed": "this test set", "open": "these classes", "class": "new classes"}  # interval → its own target
Results = dict[str, np.ndarray]


def render(results: Sequence[tuple[Setting, Results]]) -> str:
    total = sum(len(found["open/open"]) * setting.n_sets for setting, found in results)
    parts = [
        "# What the intervals cover and what the tests reject",
        f"{total:,} simulated benchmarks. By `python benchmarks/statistics/simulate.py`; seed {_seed()}; "
        f"torch {torch.__version__}, numpy {np.__version__}, scipy {scipy.__version__}, "
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}.",
        _conditions(),
        *(_of_setting(setting, found) for setting, found in results),
        "Over seeds: see [statistics-seeds.md](statistics-seeds.md).",
    ]
    return "\n\n".join(parts)


def _seed() -> int:
    import simulate

    return simulate.SEED


def _conditions() -> str:
    return (
        f"Each benchmark has {model.N_CLASSES} novel classes of {model.PER_CLASS} images, Gaussian in "
        f"{model.N_FEATURES} dimensions: class means with standard deviation {model.SPREAD} (times a log-normal factor "
        f"of {model.UNEQUAL_CLASSES}), images around them with standard deviation 1 (times one of "
        f"{model.UNEQUAL_IMAGES} an image). Method B has A's class means with half of the classes changed about; C has "
        f"its own, correlated {model.SHARED} with A's; what two methods see of one image correlates {model.SHARED}. "
        "Intervals at 95 %, tests at 5 %. ± is the Monte-Carlo standard error, over worlds (a world's test sets share "
        "its classes). The truths have a Monte-Carlo error of their own, by which intervals were widened: "
        "by at most 14 % for `this test set` and 3 % for `these classes`."
    )


def _of_setting(setting: Setting, found: Results) -> str:
    worlds, sets = found["open/open"].shape[:2]
    mean = found["truth/these classes"][..., 0].mean()
    return "\n\n".join(
        [
            f"## {setting.name}: {worlds * sets:,} benchmarks",
            f"{worlds:,} worlds × {sets} test sets; mean accuracy {100 * mean:.1f} %; closed: {setting.n_closed} "
            "episodes with replacement; open: without, as many as there are; truth of `this test set` by "
            f"{setting.n_many} closed episodes, of `these classes` by {setting.n_fresh} of fresh images.",
            _coverage(found),
            _rejections(setting, found),
        ]
    )


def _coverage(found: Results) -> str:
    """Episodes × interval × target. The interval's own target, on the episodes it is made for, in bold."""
    rows = ["| episodes | interval | half-width | " + " | ".join(TRUTHS.values()) + " |", "|---" * 6 + "|"]
    for kind in ("closed", "open"):
        for name in TRUTHS:
            mean, error, half_width = np.moveaxis(found[f"{kind}/{name}"], -1, 0)  # (worlds, sets) each
            cells = []
            for target, truth in TRUTHS.items():
                covered = np.abs(mean - _truth(found, truth, 0)) <= half_width * np.sqrt(
                    1 + (_truth(found, truth, 1) / error) ** 2
                )
                own = target == name and kind in ((name,) if name != "class" else ("closed", "open"))
                cells.append(_bold(_share(covered), own))
            rows.append(f"| {kind} | {name} | {100 * half_width.mean():.2f} | " + " | ".join(cells) + " |")
    return "Coverage in percent, of three truths:\n\n" + "\n".join(rows)


def _truth(found: Results, name: str, part: int) -> np.ndarray | float:
    """The truth (0) or its standard error (1), (worlds, sets)."""
    if name != "new classes":
        return found[f"truth/{name}"][..., part]
    of_worlds = found["truth/these classes"][:, 0, 0]
    return float((of_worlds.mean(), of_worlds.std(ddof=1) / len(of_worlds) ** 0.5)[part])


def _rejections(setting: Setting, found: Results) -> str:
    """Null hypothesis and test × episodes. What the harness reports is in bold."""
    kinds = {"closed": f"closed, {setting.n_closed}", "closed, many": f"closed, {setting.n_many}", "open": "open"}
    head = "| true null hypothesis | test | " + " | ".join(kinds.values()) + " |"
    rows = [head, "|---" * 5 + "|"]
    for null, own in (("these classes", "class effects out"), ("new classes", "class interval")):
        tests = [name.split("/")[3] for name in found if name.startswith(f"p/{null}/open/")]
        for test in tests:
            if null == "these classes" and "class interval" in test:
                continue  # it asks about new classes
            cells = []
            for kind in kinds:
                p_values = found.get(f"p/{null}/{kind}/{test}")
                bold = own in test and (kind == "open" or own == "class interval")
                cells.append("" if p_values is None else _bold(_share(p_values < ALPHA), bold))
            rows.append(f"| equal on {null} | {test} | " + " | ".join(cells) + " |")
    return "Rejections of a true null hypothesis in percent:\n\n" + "\n".join(rows)


def _share(happened: np.ndarray) -> str:
    """Percent of what happened (worlds, sets), with its standard error over worlds."""
    of_worlds = happened.mean(axis=1)
    return f"{100 * of_worlds.mean():.1f} ± {100 * of_worlds.std(ddof=1) / len(of_worlds) ** 0.5:.1f}"


def _bold(text: str, bold: bool) -> str:
    return f"**{text}**" if bold else text
