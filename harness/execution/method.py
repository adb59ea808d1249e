"""A method at work: its stages under its options, and which of them each stage reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.common.errors import PluginError
from harness.contract.methods import deciding
from harness.contract.reading import noted, part_read_for

if TYPE_CHECKING:
    from harness.contract.methods import MethodSpec


class MethodAtWork:
    """The stages of a method. A stage that reads an option which does not decide it is stopped."""

    def __init__(self, spec: MethodSpec, options: Mapping[str, Any]) -> None:
        self.reads: dict[str, set[str]] = {}  # stage → the options that it was seen to read
        self._read_by_stages: set[str] = set()  # by ``stages()`` itself, for whatever purpose
        self._by_part: dict[str, dict[str, set[str]]] = {}  # stage → option → the parts of a recipe that read it
        self._spec = spec
        self._options = spec.options.model_validate(dict(options))
        self._deciding: dict[str, set[str]] = {}  # stage → the options that decide it
        self._stage_at_work: str | None = None
        # What ``stages()`` itself reads decides which stages there are. Options that a stage keeps from there and reads
        # later count as read by that stage.
        self.stages = {stage.name: stage for stage in spec.stages(noted(self._options, self._note_kept))}

    def options_for(self, stage: str) -> Any:
        """The options as that stage is to see them."""
        return noted(self._options, partial(self._note, stage))

    @contextmanager
    def at_work(self, stage: str) -> Iterator[None]:
        """Inside, it is ``stage`` that builds or trains."""
        before, self._stage_at_work = self._stage_at_work, stage
        try:
            yield
        finally:
            self._stage_at_work = before

    def _note_kept(self, option: str) -> None:
        if self._stage_at_work is not None:
            self._note(self._stage_at_work, option)
        elif not part_read_for():
            self._read_by_stages.add(option)

    def _note(self, stage: str, option: str) -> None:
        """A stage reads an option. Raises PluginError where that does not decide the stage."""
        if stage not in self._deciding:
            options = self._spec.options.model_fields
            self._deciding[stage] = deciding(list(self.stages.values()), stage, options)
        if option not in self._deciding[stage]:
            raise PluginError(
                f"{self._spec.name}/{stage} reads the option {option!r}, which neither its Stage.reads nor a parent's "
                "names, so that two values would share one result: name it, or leave reads out"
            )
        self.reads.setdefault(stage, set()).add(option)
        self._by_part.setdefault(stage, {}).setdefault(option, set()).add(part_read_for())

    def lengths(self, stage: str) -> set[str]:
        """The options that, as far as was seen, say how long a stage's recipe is, and else its schedule alone."""
        return {option for option, elsewhere in self._read_as_length(stage).items() if not elsewhere}

    def reads_lengths_elsewhere(self, stage: str) -> bool:
        """Whether an option that says how long a stage's recipe is decides something else too, as a loss."""
        return any(self._read_as_length(stage).values())

    def _read_as_length(self, stage: str) -> dict[str, bool]:
        """The options that say how long a stage's recipe is, and whether each was read for something else, too."""
        parts = self._by_part.get(stage, {})
        return {
            option: option in self._read_by_stages or not by <= {"length", "schedule"}
            for option, by in parts.items()
            if "length" in by
        }
