"""Which weights each method of a bench is to start from, as ``--weights`` and presets name them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.bench.pretraining import RowOfRun
from harness.common.errors import HarnessError, UnknownName
from harness.contract.plan import PRETRAINED, UNTRAINED

if TYPE_CHECKING:
    from harness.contract.methods import Preset


def given_weights(text: str | None, labels: Sequence[str]) -> dict[str, str]:
    """Label → weights, of ``FILE``, ``LABEL=FILE`` or several by commas; a FILE alone is for all that have no own.

    What is a file as it stands is that file, whatever signs are in its name. ``none`` in place of a file: untrained;
    ``RUN:ROW``: what that row was trained to, looked up by harness/bench/pretraining.py.

    Args:
        labels: of the methods with a backbone.
    Raises:
        UnknownName: no such label.
        HarnessError: no such file, or two for one label.
    """
    if text is None:
        return {}
    chosen: dict[str | None, str] = {}
    for part in [text] if is_there(text) else [part.strip() for part in text.split(",")]:
        label, start = _label_and_start(part)
        if label is not None and label not in labels:
            raise UnknownName("label in --weights", label, labels, "Labels with a backbone")
        if label in chosen:
            whom = "the rest" if label is None else label
            raise HarnessError(f"--weights {text}: two for {whom}, {chosen[label]} and {start}; give one")
        if not is_there(start) and RowOfRun.parse(start) is None:
            raise HarnessError(
                f"--weights {part}: no such file{f' as {start}' if label is not None else ''}; a row of an earlier run "
                "is written RUN:ROW"
            )
        chosen[label] = start
    rest = dict.fromkeys(labels, chosen[None]) if None in chosen else {}
    return {**rest, **{label: start for label, start in chosen.items() if label is not None}}


def preset_weights(preset: Preset, backbone: str, label: str) -> str | None:
    """What a preset starts its backbone from; another backbone than its own starts untrained.

    Raises:
        HarnessError: no such file.
    """
    if preset.weights is None or backbone != preset.backbone:
        return None
    if not is_there(preset.weights):
        raise HarnessError(
            f"{label}: its preset starts from {preset.weights}: no such file. Give another: --weights {label}=FILE"
        )
    return preset.weights


def _label_and_start(part: str) -> tuple[str | None, str]:
    label, equals, start = part.partition("=")
    if not part or (equals and not start):
        raise HarnessError(f"--weights {part!r}: write it as FILE or LABEL=FILE, several by commas")
    whole = is_there(part) or (":" in label and RowOfRun.parse(part) is not None)  # a row of a sweep has = in its name
    return (None, part) if whole or not equals else (label, start)


def is_there(start: str) -> bool:
    """Whether weights are named by themselves: a file, or one of the words in place of one."""
    return start in (PRETRAINED, UNTRAINED) or Path(start).expanduser().is_file()
