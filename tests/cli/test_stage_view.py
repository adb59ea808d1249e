"""harness/cli/stage_view.py and region.py: a stage under way fits the terminal, whatever its width."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from rich.console import Console

from harness.cli.region import Region
from harness.cli.stage_view import StageView
from harness.evaluation.events import EmbeddingProgress
from harness.training.events import EpochDone, TrainingProgress, TrainingStarted


@pytest.fixture
def view():
    view = StageView("CIFAR-FS rfs/distill-1 seed 0", 0.0)
    view.hear(TrainingStarted(1, 90, 3_000_000))
    view.hear(TrainingProgress(12, 90, 400_000, 3_000_000, 12_412.3, 1.2345))
    return view


@pytest.mark.parametrize("room", [120, 80, 50, 30, 5])
def test_a_line_fits_its_room(view, room):
    assert cell_len(view.line("35 min left", room)) <= room


def test_the_narrower_the_less_is_said_and_the_time_left_last(view):
    assert view.line("35 min left", 110).endswith("epoch 12/90 · 12,412 images/s · loss 1.234 · 35 min left")
    assert "━" in view.line("35 min left", 110)
    assert "35 min left" in view.line("35 min left", 50)
    assert "images/s" not in view.line("35 min left", 50)


def test_letters_that_take_two_columns_are_counted_so():
    assert cell_len(StageView("数据集" * 12, 0.0).line("", 40)) <= 40


def test_images_that_are_embedded_while_it_trains_are_validation_s(view):
    view.hear(EmbeddingProgress(5, 10))
    assert view.activity == "epoch 12/90"
    view.hear(EpochDone(90, {"loss": 1.0}, epochs=90))
    view.hear(EmbeddingProgress(5, 10))
    assert (view.activity, view.share) == ("scoring", 0.5)


def test_of_a_loop_of_the_method_s_own_the_epochs_are_counted():
    view = StageView("mine", 0.0)
    view.hear(TrainingStarted(1, None, None))
    view.hear(EpochDone(3, {}))
    assert view.sentence("") == "mine: epoch 3"


@pytest.mark.parametrize("width", [80, 50])
def test_lines_are_drawn_within_the_terminal(width):
    region = Region(Console(width=width), lambda room, height: ["x" * 200, "y"])
    drawn = Console(width=width).render_lines(region, pad=False)
    assert [sum(segment.cell_length for segment in line) for line in drawn] == [width - 1, 1]


def test_lines_that_a_narrower_terminal_has_broken_are_erased():
    region = Region(Console(), lambda room, height: ["x" * 70, "y"])
    console = Console(width=80, force_terminal=True)
    list(console.render(region))
    codes = [code for s in console.render(region, console.options.update(width=40)) for code in s.control or ()]
    assert len(codes) == 2  # one row up, and erased
