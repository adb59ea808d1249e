"""What a search would do next. Nothing is trained or written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.bench.dry_run import DryRun
from harness.bench.dry_run import dry_run as foretell
from harness.tuning.record import read_trials
from harness.tuning.search import open_search, round_of

if TYPE_CHECKING:
    from harness.catalogue.catalogue import Catalogue
    from harness.execution.executor import Executor
    from harness.runs.records import TrialRecord
    from harness.tuning.record import Search


@dataclass(frozen=True)
class ForetoldSearch:
    """What a search has done, and what it would do next."""

    folder: Path
    trials: Sequence[TrialRecord]  # done
    n_left: int  # trials to go; fewer where the space has not as many choices
    chosen: Sequence[Mapping[str, Any]]  # the values of the next ones, tried together
    next_round: DryRun | None  # their bench; None: there is nothing to do


def dry_run(
    search: Search, n_trials: int, catalogue: Catalogue, executor: Executor, output: Path, root: Path, at_once: int = 1
) -> ForetoldSearch:
    """What ``tune`` would do with the same arguments; it raises what that would raise before the first training.

    Only the next round is known: what comes after depends on what it reaches.
    """
    opened = open_search(search, catalogue, output, root)
    trials = read_trials(opened.folder)
    n_left = max(0, n_trials - len(trials))
    chosen = opened.next_values(trials, min(at_once, n_left))
    if not chosen:
        return ForetoldSearch(opened.folder, trials, 0, [], None)
    together, _ = round_of(len(trials), chosen, opened.search, catalogue)
    return ForetoldSearch(
        opened.folder, trials, n_left, chosen, foretell(together, catalogue, executor, output, root, trial=True)
    )
