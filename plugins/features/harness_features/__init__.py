"""features: embeddings that were made elsewhere, read from a file and scored as any method's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

import harness


class FeaturesOptions(harness.MethodOptions):
    """Where the embeddings are."""

    file: str = Field("", description="file of embeddings: .npz, .safetensors or .parquet")
    sha256: str = Field("", validate_default=True, description="of the file, found out by itself")

    @field_validator("file")
    @classmethod
    def _is_there(cls, file: str) -> str:
        if file and not Path(file).expanduser().is_file():
            raise PydanticCustomError("file", "there is no such file")
        return file

    @field_validator("sha256")
    @classmethod
    def _is_the_files(cls, given: str, info: ValidationInfo) -> str:
        file = info.data.get("file")
        if not file:
            return ""
        with Path(file).expanduser().open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        if given not in ("", digest):
            raise PydanticCustomError("sha256", "the file is another one by now")
        return digest


def stages(options: FeaturesOptions) -> Sequence[harness.Stage]:
    return [harness.Stage("features", build)]


def check(options: FeaturesOptions, data: harness.Dataset) -> str | None:
    """What is wrong with the file, as far as it shows without the images that are scored."""
    from harness_features.files import read

    if not options.file:
        return "which file? --set LABEL.file=FILE"
    try:
        read(options.file)
    except harness.HarnessError as error:
        return str(error)
    return None


def build(context: harness.BuildContext) -> Any:
    from harness_features.files import read
    from harness_features.learner import StoredFeatures

    if not context.options.file:
        raise harness.HarnessError("features: which file? --set features.file=FILE")
    return StoredFeatures(read(context.options.file))


FEATURES = harness.MethodSpec(
    name="features",
    title="Embeddings made elsewhere: features.file=FILE",
    paper="",
    options=FeaturesOptions,
    stages=stages,
    head=harness.Head("logistic", transform="l2"),
    stored=True,
    uses_backbone=False,
    check=check,
)


@harness.hookimpl
def harness_methods() -> Iterable[harness.MethodSpec]:
    return [FEATURES]
