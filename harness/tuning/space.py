"""Where a search looks: ranges and lists of an option's values, and the next values to try, proposed by Optuna."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, get_args, get_origin

from harness.common.errors import HarnessError
from harness.common.randomness import derive

STARTUP_TRIALS = 5  # the preset's own and four at random, before the sampler has something to learn from
MOST_ATTEMPTS = 1000  # to find new values of a range, which may have few of ``DIGITS`` digits
DIGITS = 4  # significant digits of a value from a range
INSTALL = "harness tune needs Optuna: pip install 'fsl-harness[tune]'"


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; searched by their logarithm where high is 10 · low or more."""

    low: float
    high: float
    whole: bool = False  # integers only

    @property
    def log(self) -> bool:
        return self.low > 0 and self.high >= 10 * self.low

    @property
    def size(self) -> float:
        """How many values there are."""
        return self.high - self.low + 1 if self.whole else math.inf

    @property
    def extremes(self) -> tuple[float, ...]:
        return self.low, self.high

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, (int, float)) and self.low <= value <= self.high

    def distribution(self) -> Any:
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)

    def encode(self, value: Any) -> Any:
        return value

    def decode(self, proposed: Any) -> Any:
        """The value to try: rounded, for people read it."""
        return int(proposed) if self.whole else min(max(float(f"{proposed:.{DIGITS}g}"), self.low), self.high)


@dataclass(frozen=True)
class Choices:
    """A list of values, of any kind and in no order."""

    values: tuple[Any, ...]

    @property
    def size(self) -> float:
        return len(self.values)

    @property
    def extremes(self) -> tuple[Any, ...]:
        return self.values

    def __contains__(self, value: Any) -> bool:
        return as_json(value) in map(as_json, self.values)

    def distribution(self) -> Any:
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution([as_json(value) for value in self.values])

    def encode(self, value: Any) -> Any:
        return as_json(value)

    def decode(self, proposed: Any) -> Any:
        return json.loads(proposed)


Space: TypeAlias = Range | Choices
Tried: TypeAlias = tuple[Mapping[str, Any], float | None]  # values and their accuracy; None: it failed


def as_space(name: str, value: Any, annotation: Any) -> Space | None:
    """The values that ``--set name=value`` searches; None where it is one value, to be set.

    Args:
        value: as ``harness.bench.notation.parse_setting`` gives it.
        annotation: the type of the option. A list is one value of an option that holds lists; such an option is
            searched over a list of lists.
    Raises:
        HarnessError: a range that is empty, or of an option that is no number.
    """
    if isinstance(value, str) and ".." in value:
        return _range(name, value, annotation)
    if not isinstance(value, list):
        return None
    if _holds_lists(annotation) and not any(isinstance(item, list) for item in value):
        return None
    if len({as_json(item) for item in value}) < max(2, len(value)):
        raise HarnessError(f"--set {name}={as_json(value)}: a list to search needs two or more different values")
    return Choices(tuple(value))


def _range(name: str, text: str, annotation: Any) -> Range | None:
    first, _, last = text.partition("..")
    kinds = {annotation, *get_args(annotation)}
    number, whole = bool(kinds & {int, float}) and bool not in kinds, float not in kinds
    try:
        low, high = float(first), float(last)
    except ValueError:
        if not number:
            return None
        low = high = math.nan
    if not number:
        raise HarnessError(f"--set {name}={text}: a range needs an option that is a number; give a list instead")
    if not (math.isfinite(low) and math.isfinite(high) and low < high) or (whole and low % 1 + high % 1):
        form = "whole numbers LOW..HIGH" if whole else "LOW..HIGH"
        raise HarnessError(f"--set {name}={text}: write a range as {form}, the lower end first")
    return Range(int(low), int(high), True) if whole else Range(low, high)


def _holds_lists(annotation: Any) -> bool:
    return any(get_origin(kind) in (tuple, list) for kind in (annotation, *get_args(annotation)))


def propose(
    space: Mapping[str, Space], tried: Sequence[Tried], seed: int, pending: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any] | None:
    """Values that have not been tried, the same for the same arguments; None where all have been.

    By Optuna's tree-structured Parzen estimator; what failed counts as worse than all else.

    Args:
        pending: values that are being tried; the estimator keeps away from them, as if they had done badly.
    Raises:
        HarnessError: Optuna is not installed.
    """
    optuna = require_optuna()
    known = {as_json(values) for values in (*(values for values, _ in tried), *pending)}
    if len(known) >= math.prod(option_space.size for option_space in space.values()):
        return None
    distributions = {name: option_space.distribution() for name, option_space in space.items()}
    states = optuna.trial.TrialState

    def trial(values: Mapping[str, Any], state: Any, accuracy: float | None = None) -> Any:
        params = {name: option_space.encode(values[name]) for name, option_space in space.items()}
        return optuna.trial.create_trial(params=params, distributions=distributions, value=accuracy, state=state)

    before = [
        *(
            trial(values, states.PRUNED if accuracy is None else states.COMPLETE, accuracy)
            for values, accuracy in tried
        ),
        *(trial(values, states.RUNNING) for values in pending),
    ]
    endless = math.isinf(math.prod(option_space.size for option_space in space.values()))
    for attempt in range(MOST_ATTEMPTS) if endless else itertools.count():
        own_seed = derive(seed, "tune", len(before), attempt) % 2**32
        sampler = (
            optuna.samplers.RandomSampler(own_seed)  # the other one may insist on what it knows to be good
            if attempt
            else optuna.samplers.TPESampler(n_startup_trials=STARTUP_TRIALS, seed=own_seed, constant_liar=bool(pending))
        )
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials(before)
        asked = study.ask(distributions).params
        values = {name: option_space.decode(asked[name]) for name, option_space in space.items()}
        if as_json(values) not in known:
            return values
    return None


def require_optuna() -> Any:
    """Optuna, told to be quiet. Raises HarnessError where it is not installed."""
    try:
        import optuna
    except ImportError:
        raise HarnessError(INSTALL) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def as_json(value: Any) -> str:
    """``value`` as JSON, equal for equal values; also as TOML, where it is a number, text, flag or list of such."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
