"""Which image sizes a backbone can take."""

from __future__ import annotations

from harness.common.errors import HarnessError


def refuse_small(name: str, image_size: int, least: int) -> None:
    """Refuse images that the network would pool to nothing.

    Raises:
        HarnessError: ``image_size`` is below ``least`` (pixels).
    """
    if image_size < least:
        raise HarnessError(
            f"backbone {name} needs images of at least {least}×{least} pixels, not {image_size}×{image_size}"
        )
