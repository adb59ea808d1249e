"""Names in any script, in figures and previews: harness/common/fonts.py."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib import font_manager
from PIL import Image

from harness.cli.main import main
from harness.common import fonts
from harness.common.fonts import fonts_for
from harness.datasets.preview import write_preview
from harness.reports.figures.plots import plots, rendered

CATS, DOGS = "猫", "狗"
PRIVATE = "\U000fffff"  # of private use, so drawn as a box


def has_cats(path):
    """Whether a font has the character, by another library than the code's."""
    from PIL import ImageFont

    try:
        font = ImageFont.truetype(path, 20)
    except OSError:
        return False
    picture, box = font.getmask(CATS), font.getmask(PRIVATE)
    return picture.size != box.size or bytes(picture) != bytes(box)


CJK = [path for path in font_manager.findSystemFonts() if "CJK" in path or "wqy" in path.lower()]
needs_cjk = pytest.mark.skipif(not any(map(has_cats, CJK)), reason="no font with Chinese characters is installed")


def ink(picture):
    """The dark pixels of a PNG."""
    return np.asarray(Image.open(io.BytesIO(picture)).convert("L")) < 128


@needs_cjk
def test_chinese_names_are_drawn_with_their_own_characters(runs):
    """Boxes would be the same for both."""

    def drawn(name):
        [plot] = [plot for plot in plots(runs().add(f"{name}/x").report().tables[0]) if plot.name == "accuracy"]
        return ink(rendered(plot, "png"))

    cats, dogs = drawn(CATS), drawn(DOGS)
    assert cats.shape == dogs.shape
    assert (cats != dogs).any()


@needs_cjk
def test_chinese_class_names_are_drawn_in_a_preview(tiny, tmp_path):
    def drawn(name):
        split = replace(tiny.test, class_names=tuple(f"{name}{i}" for i in range(tiny.test.n_classes)))
        assert write_preview(replace(tiny, test=split), tmp_path / "sheet.png") == ""
        return ink((tmp_path / "sheet.png").read_bytes())

    assert (drawn(CATS) != drawn(DOGS)).any()


def test_one_font_serves_what_it_has():
    chosen = fonts_for("ProtoNet α=0.5 → Ö")
    assert (chosen.families, chosen.missing, str(chosen)) == (("DejaVu Sans",), "", "")


def test_characters_that_no_font_has_are_told_in_one_line(runs, tiny, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fonts, "_installed", lambda: ())  # as on a machine without further fonts
    bench = runs().add(f"{CATS}/x").add(f"{DOGS}/x").save()
    assert main(["report", str(bench.output), "--plots", str(tmp_path / "figures")]) == 0
    line = "no installed font has {}: boxes stand for them. Install one that has, as Noto Sans CJK"
    assert capsys.readouterr().err.splitlines()[0] == line.format("".join(sorted(CATS + DOGS)))
    split = replace(tiny.test, class_names=(CATS, *tiny.test.class_names[1:]))
    assert write_preview(replace(tiny, test=split), tmp_path / "sheet.png") == line.format(CATS)
