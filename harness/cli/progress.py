"""What a bench shows on standard error while it runs: lines that move on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from harness.bench.events import BenchStarted
from harness.bench.remaining import Remaining, spoken
from harness.cli.arguments import Level
from harness.cli.notifying import Notifier
from harness.cli.region import Region
from harness.cli.stage_view import StageView, shortened, title
from harness.cli.terminal import error_console
from harness.common.text import printable
from harness.contract.results import StageFailure, StageResult
from harness.execution.events import JobDone, JobEvent, JobStarted, Note, WorkStarted
from harness.reports.build import stage_marks
from harness.training.events import EpochDone, TrainingStarted

if TYPE_CHECKING:
    from harness.catalogue.catalogue import Catalogue
    from harness.execution.job import StageJob

LINE_EVERY = 10.0  # seconds: of a stage with short epochs there is no line more often, where it is no terminal
SILENCE = 60.0  # seconds: nor is there none for longer, while something is under way


class Display:
    """Shows the events of a bench, and passes them on to plugins that want to be notified."""

    def __init__(self, catalogue: Catalogue | None = None, level: Level = "usual", what: str = "bench") -> None:
        """A display.

        Args:
            catalogue: whose plugins are notified; may be given later, as ``notifying``.
            level: "quiet" shows failures alone, "verbose" also what was decided.
            what: the whole that its time left is of.
        """
        self._console = error_console()
        self._level = level
        self._what = what
        self._notifier: Notifier | None = None
        self._broken: list[Any] = []  # plugins that nothing was said of yet
        self._noted: set[str] = set()
        self._remaining = Remaining()
        self._views: dict[StageJob, StageView] = {}  # of the jobs under way
        self._status = ""  # before the first job
        self._total = self._done = self._kept = 0
        self._untold: list[str] = []  # stages that were there already, and nothing was said of yet
        self._began = time.monotonic()
        self._shown = ExitStack()
        if catalogue is not None:
            self.notifying(catalogue)

    def notifying(self, catalogue: Catalogue) -> None:
        """Notify the plugins of ``catalogue``, and tell which of them are broken."""
        self._notifier = Notifier(catalogue, self._say)
        self._broken = list(catalogue.broken)

    def tracking(self, names: Sequence[str], output: Path) -> None:
        """Have trackers of the plugins that are notified start with the bench."""
        if self._notifier is not None:
            self._notifier.track(names, output)

    def status(self, text: str) -> None:
        """What is done before anything is trained, as ``opening glyphs``: shown at once on a terminal.

        Elsewhere it is told with the first sign of life, so that a mistake on the command line stays one line.
        """
        self._status = text

    def __enter__(self) -> Display:
        if self._level == "quiet":
            return self
        if self._console.is_terminal:
            self._shown.enter_context(Region(self._console, self._lines).shown())
        else:
            self._shown.enter_context(_Heartbeat(self._break_silence))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._notifier is not None:
            self._notifier.close()
        self._tell_kept()
        self._shown.close()
        self._tell_broken(but=str(error))

    def __call__(self, event: Any) -> None:
        if isinstance(event, BenchStarted):
            self._tell_broken()
            self._status = ""
            self._total, self._done, self._kept = len(event.jobs), 0, 0
            self._remaining.begin(event.jobs)
        elif isinstance(event, JobEvent):
            self._remaining.hear(event.job, event.event)
            self._show_job_event(event.job, event.event)
        elif isinstance(event, Note) and event.text not in self._noted:  # a search has many benches
            self._noted.add(event.text)
            self._say(event.text)
        if self._notifier is not None:
            self._notifier.hear(event)

    def _tell_broken(self, but: str = "") -> None:
        """Say once which plugins are left out, except one whose reason is told in ``but``, the error that ends it."""
        for broken in self._broken:
            if broken.reason not in but:
                self._say(f"warning: plugin {broken.plugin} is left out: {broken.reason}")
        self._broken = []

    def _tell_kept(self) -> None:
        """Say how many stages were there already, since that was last said."""
        names, self._untold = self._untold, []
        if names:
            some = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
            self._say(f"kept from before: {len(names)} stage{'s' * (len(names) > 1)} ({some})")

    # ── of a job ─────────────────────────────────────────────────────────────────────────────────

    def _show_job_event(self, job: StageJob, event: Any) -> None:
        if isinstance(event, JobStarted):
            self._tell_kept()
            self._views[job] = StageView(title(job), time.monotonic())
            if not self._console.is_terminal:
                count = f" ({self._done + len(self._views)} of {self._total} stages)" if self._total else ""
                self._say(f"{title(job)}: starts{count}")
        elif isinstance(event, JobDone):
            self._show_job_done(job, event)
        elif isinstance(event, Note):
            self._say(event.text)
        elif isinstance(event, WorkStarted):
            self._tell_decisions(job, event)
        elif view := self._views.get(job):
            view.hear(event)
            if isinstance(event, TrainingStarted):
                self._tell_length(job, event)
            elif isinstance(event, EpochDone):
                self._show_epoch(job, view, event)

    def _show_epoch(self, job: StageJob, view: StageView, event: EpochDone) -> None:
        if not self._console.is_terminal and time.monotonic() - view.said >= LINE_EVERY:
            self._say_view(job, view)

    def _show_job_done(self, job: StageJob, event: JobDone) -> None:
        self._views.pop(job, None)
        self._done += 1
        if isinstance(event.outcome, StageFailure):
            self._tell_kept()
            failure = f"{title(job)}: FAILED: {event.outcome.error} (details: {job.folder}/failure.txt)"
            self._console.print(printable(failure))
        elif event.reused:
            self._kept += 1
            self._untold.append(printable(f"{job.name} seed {job.seed}"))
        else:
            self._say(f"{title(job)}: {_summary(event.outcome)}")
            for mark in stage_marks(event.outcome, job.seed):
                self._say(f"{title(job)}: {mark.reason}")

    def _tell_decisions(self, job: StageJob, event: WorkStarted) -> None:
        if self._level == "verbose":
            about = event.conditions
            processes = f", {job.machine.devices} processes" if job.machine.devices > 1 else ""
            self._say(
                f"{title(job)}: to {event.work} on {about['device']} ({event.host}), precision {about['precision']}, "
                f"threads {about['threads']}{processes}; torch {about['torch']}; folder {job.folder}"
            )

    def _tell_length(self, job: StageJob, event: TrainingStarted) -> None:
        epochs = f" of {event.epochs}" if event.epochs is not None else ""
        if event.done:
            self._say(f"{title(job)}: goes on after epoch {event.done}{epochs}")
        elif self._level == "verbose" and event.epochs is not None:
            self._say(f"{title(job)}: trains {event.epochs} epochs, {event.total_images:,} images seen")

    # ── lines ────────────────────────────────────────────────────────────────────────────────────

    def _left(self, job: StageJob) -> str:
        seconds = self._remaining.of(job)
        return "" if seconds is None else f"{spoken(seconds)} left"

    def _lines(self, width: int, height: int) -> list[str]:
        """What stands below all else on a terminal of so many columns and rows."""
        views = list(self._views.items())
        most = max(1, height - 3)
        lines = [view.line(self._left(job), width) for job, view in views[:most]]
        if len(views) > most:
            lines.append(f"… and {len(views) - most} more stages")
        if self._total:
            return [*lines, self._whole(width)]
        return lines or [shortened(f"{self._status} …", width)]  # a search does not know its stages beforehand

    def _whole(self, width: int) -> str:
        kept = f", {self._kept} kept from before" if self._kept else ""
        short = f", {self._kept} kept" if self._kept else ""
        gone, left = spoken(time.monotonic() - self._began), str(self._remaining.left())
        count = f"{self._done}/{self._total}"
        for line in (
            f"{self._what}: {self._done} of {self._total} stages done{kept} · {gone} so far · {left}",
            f"{self._what}: {count} stages{short} · {gone} so far · {left}",
            f"{self._what}: {count} stages{short} · {left}",
        ):
            if cell_len(line) <= width:
                return line
        return shortened(f"{self._what}: {count} · {left}", width)

    def _break_silence(self) -> None:
        """Say how far each stage is that nothing was said of for a minute."""
        for job, view in list(self._views.items()):
            if time.monotonic() - view.said >= SILENCE:
                self._say_view(job, view)

    def _say_view(self, job: StageJob, view: StageView) -> None:
        view.said = time.monotonic()
        whole = f"; {self._what}: {self._remaining.left()}" if self._total else ""
        self._say(f"{view.sentence(self._left(job))}{whole}")

    def _say(self, text: str) -> None:
        if self._level != "quiet":
            self._console.print(printable(text))


class _Heartbeat:
    """Calls a function every few seconds, from a thread of its own."""

    def __init__(self, beat: Any) -> None:
        self._beat = beat
        self._over = threading.Event()

    def __enter__(self) -> _Heartbeat:
        threading.Thread(target=self._run, daemon=True, name="progress").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _run(self) -> None:
        while not self._over.wait(5.0):
            self._beat()


def _summary(result: StageResult) -> str:
    closed = [score for score in result.scores if score.target == "closed"]
    parts = [f"{score.episodes} {100 * score.accuracies.mean():.2f} %" for score in closed]
    if not result.fit_seconds:
        return ", ".join([*parts, "nothing to train"])
    images = "unknown" if result.images_seen is None else f"{result.images_seen:,}"
    return ", ".join([*parts, f"{images} images seen in {result.fit_seconds:.0f} s"])
