"""How things are named in a plan and on the command line, each form with its parser.

skd   skd:paper   mine=skd:paper     MethodReference
skd.alpha                            OptionName
skd/gen1   protonet                  RowName
conv4   timm:resnet18                PartReference, of a dataset or a backbone
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.common.errors import HarnessError


@dataclass(frozen=True)
class MethodReference:
    """A method as a plan asks for it: ``LABEL=NAME:PRESET``, of which label and preset may be left out."""

    label: str  # its name in this bench; the method's own where none is given
    method: str
    preset: str | None = None  # None: the plan's

    @classmethod
    def parse(cls, text: str) -> MethodReference:
        """Raises HarnessError where the label is empty, or holds what separates it from an option or a stage."""
        before, equals, after = text.partition("=")
        method, _, preset = (after if equals else before).partition(":")
        label = before if equals else method
        if not label or "/" in label or "." in label:
            raise HarnessError(f"the label {label!r} in --methods may not be empty or hold '/' or '.'")
        return cls(label, method, preset or None)

    def __str__(self) -> str:
        """As it is written."""
        preset = f":{self.preset}" if self.preset else ""
        return f"{self.method}{preset}" if self.label == self.method else f"{self.label}={self.method}{preset}"

    def relabelled(self, label: str) -> MethodReference:
        """The same method under another label."""
        return MethodReference(label, self.method, self.preset)


@dataclass(frozen=True)
class OptionName:
    """An option of a method: ``LABEL.OPTION``."""

    label: str
    option: str

    @classmethod
    def parse(cls, text: str) -> OptionName:
        label, _, option = text.partition(".")
        return cls(label, option)

    def __str__(self) -> str:
        return f"{self.label}.{self.option}"


@dataclass(frozen=True)
class RowName:
    """A row of a table: ``LABEL/STAGE``, or ``LABEL`` where the method has one stage."""

    label: str
    stage: str | None = None

    @classmethod
    def parse(cls, text: str) -> RowName:
        label, slash, stage = text.partition("/")
        return cls(label, stage if slash else None)

    def __str__(self) -> str:
        return self.label if self.stage is None else f"{self.label}/{self.stage}"


@dataclass(frozen=True)
class PartReference:
    """A dataset or a backbone as a plan asks for it: ``NAME``, or ``NAME:ARGUMENT``."""

    name: str
    argument: str | None = None

    @classmethod
    def parse(cls, text: str) -> PartReference:
        name, colon, argument = text.partition(":")
        return cls(name, argument if colon else None)

    def __str__(self) -> str:
        return self.name if self.argument is None else f"{self.name}:{self.argument}"
