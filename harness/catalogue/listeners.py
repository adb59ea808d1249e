"""Plugins and trackers that are told what happens. One that fails is reported, and ends nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.catalogue.output import standard_output_kept
from harness.common.errors import one_line

if TYPE_CHECKING:
    import pluggy

    from harness.contract.trackers import TrackedBench, TrackerSpec

Report = Callable[[str], None]  # of a line about what failed


class Listeners:
    """Who implements the hooks that notify."""

    def __init__(self, manager: pluggy.PluginManager, register: Callable[[str, Any], None]) -> None:
        """Those of ``manager``, which ``register`` adds an object to under a name, or raises PluginError."""
        self._manager = manager
        self._register = register
        self._off: set[Any] = set()  # implementations that have raised
        self._trackers: dict[str, Any] = {}  # under way, by the name that they are registered under

    def notify(self, hook: str, report: Report, **arguments: Any) -> None:
        """Call each implementation of a hook on its own, with the arguments that it takes.

        One that raises is reported and switched off; of a tracker all of its hooks are.
        """
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            if implementation in self._off:
                continue
            try:
                with standard_output_kept():
                    implementation.function(**{name: arguments[name] for name in implementation.argnames})
            except (Exception, SystemExit) as error:
                report(f"{implementation.plugin_name}: {hook} failed and is switched off: {one_line(error)}")
                self._off.add(implementation)
                if implementation.plugin_name in self._trackers:
                    self._stop(implementation.plugin_name, lambda text: None)

    def start(self, spec: TrackerSpec, bench: TrackedBench, report: Report) -> None:
        """Have a tracker hear what is notified until ``stop``; one that cannot start is reported."""
        name = f"tracker {spec.name}"
        try:
            with standard_output_kept():
                tracker = spec.start(bench)
                self._register(name, tracker)
        except (Exception, SystemExit) as error:
            report(f"warning: {name} is left out: {one_line(error)}")
        else:
            self._trackers[name] = tracker

    def stop(self, report: Report) -> None:
        """Close the trackers that were started."""
        for name in list(self._trackers):
            self._stop(name, report)

    def _stop(self, name: str, report: Report) -> None:
        tracker = self._trackers.pop(name)
        self._manager.unregister(name=name)
        try:
            with standard_output_kept():
                getattr(tracker, "close", lambda: None)()
        except (Exception, SystemExit) as error:
            report(f"warning: {name} was not closed: {one_line(error)}")
