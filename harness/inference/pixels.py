"""Images as people have them, made into what learners take: (N, H, W, C) uint8 of one size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.errors import DamagedImage, DataError
from harness.common.text import shown_shape

if TYPE_CHECKING:
    import numpy as np

Images = Any  # a folder, files, Pillow images, or an array: see ``pixels``


def pixels(images: Images, size: int, channels: int) -> np.ndarray:
    """(N, size, size, channels) uint8.

    Args:
        images: a folder of image files; an iterable of files and Pillow images; a numpy array (N, H, W, C) or
            (N, H, W); a torch tensor (N, C, H, W). Arrays are uint8, or floats from 0 to 1. Another size is resized as
            datasets are when they are prepared: Pillow's bicubic, antialiased, sides apart.
    Raises:
        DataError: there are none, an image cannot be read, or an array has another shape or range.
    """
    import numpy as np

    if isinstance(images, str | Path):
        images = files_in(Path(images))
    if hasattr(images, "detach"):  # a torch tensor
        images = np.moveaxis(images.detach().cpu().numpy(), 1, -1) if images.ndim == 4 else images.cpu().numpy()
    if isinstance(images, np.ndarray):
        return _of_array(images, size, channels)
    square = [_of_one(image, size, channels) for image in images]
    if not square:
        raise DataError("there are no images")
    return np.stack(square)


def files_in(folder: Path) -> list[Path]:
    """The image files of a folder, in the order of their names.

    Raises:
        DataError: there is no such folder, or it holds none.
    """
    from harness.datasets.preparing.sources.images import SUFFIXES

    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not files:
        raise DataError(f"{folder} holds no image file")
    return files


def classes_in(folder: Path) -> dict[str, list[Path]]:
    """Class → its image files, of a folder with a folder a class.

    Raises:
        DataError: there is no such folder, or fewer than two classes with images.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    folders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(folders) < 2:
        raise DataError(f"{folder}: {len(folders)} folders; the examples lie in a folder for each class, two or more")
    return {path.name: files_in(path) for path in folders}


def names_of(images: Images, number: int) -> list[str]:
    """What a table calls each image: its file's name where it has one, else its number."""
    if isinstance(images, str | Path):
        return [path.name for path in files_in(Path(images))]
    if isinstance(images, Sequence) and all(isinstance(image, str | Path) for image in images):
        return [Path(image).name for image in images]
    return [str(n) for n in range(number)]


def labelled(support: Any) -> Mapping[str, Images]:
    """Class name → images, of a folder of class folders or of a mapping.

    Raises:
        DataError: fewer than two classes.
    """
    examples = classes_in(Path(support)) if isinstance(support, str | Path) else support
    if not isinstance(examples, Mapping) or len(examples) < 2:
        raise DataError("support: a folder with a folder a class, or a mapping from class names to images; two or more")
    return {str(name): _several(images) for name, images in examples.items()}


def _several(images: Images) -> Images:
    """One image, as a list of it."""
    single = hasattr(images, "convert") or (isinstance(images, str | Path) and Path(images).is_file())
    return [images] if single else list(images) if isinstance(images, Iterable) and not _is_whole(images) else images


def _is_whole(images: Any) -> bool:
    return isinstance(images, str | Path) or hasattr(images, "ndim")


def _of_array(images: np.ndarray, size: int, channels: int) -> np.ndarray:
    import numpy as np
    from PIL import Image

    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3) or not len(images):
        raise DataError(f"images of shape {shown_shape(images.shape)}: (N, H, W, C) with 1 or 3 channels are taken")
    if images.dtype != np.uint8:
        images = _of_floats(images)
    if images.shape[1:3] == (size, size) and images.shape[3] == channels:
        return np.ascontiguousarray(images)
    single = [Image.fromarray(image[..., 0] if image.shape[2] == 1 else image) for image in images]
    return np.stack([_of_one(image, size, channels) for image in single])


def _of_floats(images: np.ndarray) -> np.ndarray:
    import numpy as np

    if not np.issubdtype(images.dtype, np.floating):
        raise DataError(f"images of {images.dtype}: uint8, or floats from 0 to 1, are taken")
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):
        raise DataError(
            f"floats from {low:g} to {high:g}: they are to lie from 0 to 1, neither 0 to 255 nor normalised already"
        )
    return np.round(images * 255).astype(np.uint8)


def _of_one(image: Any, size: int, channels: int) -> np.ndarray:
    """(size, size, channels) uint8 of a file or a Pillow image."""
    import io

    from harness.datasets.preparing.sources.images import decode

    if isinstance(image, str | Path):
        try:
            data = Path(image).read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {image}: {error.strerror}") from None
        return decode(data, str(image), size, channels, resize=True)
    if not hasattr(image, "save"):
        raise DamagedImage(f"a {type(image).__name__} is no image: files, Pillow images or one array are taken")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return decode(buffer.getvalue(), "an image", size, channels, resize=True)
