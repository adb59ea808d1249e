"""Defaults of one's own for the flags that say where and with what a bench runs: ``harness.toml``.

The file in the working folder counts, else the one in the user's configuration folder. It holds flags by name, as
``threads = 1`` and ``output = "/scratch/runs"``. Flags that say what is compared, or how it is scored, are refused: a
table must not depend on a file that nobody sees. Those belong into a plan, which is handed on with the numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.common.errors import HarnessError, UnknownName

FILE = "harness.toml"

SETTINGS = ("at-once", "data-root", "device", "devices", "executor", "output", "precision", "threads", "track")


def settings_file() -> Path | None:
    """The file that counts here: ./harness.toml, else that of the user's configuration folder, if there is one."""
    import platformdirs

    places = (Path(FILE), Path(platformdirs.user_config_dir("harness", False)) / FILE)
    return next((place for place in places if place.is_file()), None)


def read_settings(path: Path) -> dict[str, Any]:
    """What the file says: flag → value.

    Raises:
        HarnessError: it cannot be read, is not TOML, or says something that is no setting.
    """
    import tomllib

    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HarnessError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise HarnessError(f"{path} is not valid TOML: {error}") from None
    for name, value in values.items():
        if name not in SETTINGS:
            raise UnknownName(f"setting in {path}", name, SETTINGS, "What is compared belongs into a plan. Settings")
        if isinstance(value, bool | dict | list):
            raise HarnessError(f"{path}: {name} = {value!r} is neither a text nor a number")
    return values


def defaults_of(command: Any) -> dict[str, Any]:
    """Of a command: parameter → value, as far as the settings file has one of its flags."""
    path = settings_file()
    if path is None or not hasattr(command, "params"):
        return {}
    values = {f"--{name}": str(value) for name, value in read_settings(path).items()}
    return {parameter.name: values[flag] for parameter in command.params for flag in parameter.opts if flag in values}
