"""The page in a browser: what a reader does, with mouse, keyboard and screen reader, at three widths."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli.report_images import with_images
from harness.reports.build import build_report
from harness.reports.formats.html import html
from tests.helpers.browser import chromium, draw_all, open_page
from tests.helpers.reports import Bench

HISTORY = [{"epoch": i, "loss": 2 / i, "val_accuracy": 0.3 + 0.05 * i} for i in range(1, 5)]
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    bench = Bench(folder / "runs", baseline="rfs/simple", seeds=(0, 1, 2))
    bench.add("rfs/simple", 0.7, history=HISTORY).add("skd/gen0", 0.72, history=HISTORY, cost={"fit_seconds": 95.0})
    bench.add("protonet", 0.55, cost={"fit_seconds": 5.0}).add(
        "pixels", 0.3, floor=True, cost={"fit_seconds": 0.0}
    ).add(f"{EVIL}/x", 0.6)
    path = folder / "page.html"
    path.write_text(bench.text("html"), encoding="utf-8")
    return path


@pytest.fixture
def page(browser, file):
    page = open_page(browser, file)
    yield page
    page.context.close()


def names(page):
    return page.locator("#t0-table-accuracy tbody th:visible").all_inner_texts()


def test_every_figure_is_drawn_without_a_request_or_an_error(page, file):
    draw_all(page)
    assert page.locator(".plot canvas").count() == page.locator(".plot").count() > 5
    assert page.troubles == []
    assert page.requests == [file.as_uri()]


def test_the_policy_lets_no_other_script_style_or_request_through(page):
    policy = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
    assert "unsafe" not in policy
    page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.ran = true";
          document.body.append(script);
          document.body.insertAdjacentHTML("beforeend", '<p id="red" style="color: red">x</p><img src="http://a.b/">');
        }"""
    )
    page.wait_for_timeout(100)
    assert page.evaluate("window.ran") is None
    assert page.evaluate("getComputedStyle(document.getElementById('red')).color") != "rgb(255, 0, 0)"
    for directive in ("script-src", "style-src", "img-src"):
        assert any(directive in trouble for trouble in page.troubles), directive


def test_a_hostile_label_is_text_in_tables_figures_and_tooltips(page):
    draw_all(page)
    assert EVIL in page.locator("#t0-table-accuracy").inner_text()
    page.locator(".numbers summary").first.click()
    assert page.locator("img").count() == 0
    assert page.troubles == []


def test_a_column_sorts_by_its_numbers_both_ways_and_says_so(page):
    head = page.locator("#t0-table-accuracy thead th", has_text="training")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert names(page)[0] == "skd/gen0"
    assert names(page)[-1] == "pixels"  # has no number, whichever way
    assert page.get_by_text("Sorted by training, highest first").count() == 1
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert (names(page)[0], names(page)[-1]) == ("protonet", "pixels")


def test_rows_are_filtered_by_a_part_of_their_text_and_floors_can_be_hidden(page):
    page.get_by_label("Filter").fill("SKD")
    assert names(page) == ["skd/gen0"]
    assert page.locator(".count").inner_text() == "1 of 5 rows"
    page.get_by_label("Filter").fill("")
    page.get_by_label("Floors").uncheck()
    assert "pixels" not in names(page)
    assert len(names(page)) == 4


def test_columns_are_hidden_and_shown_with_the_keyboard_alone(page):
    heads = page.locator("#t0-table-accuracy thead th:visible")
    before = heads.count()
    page.locator(".choose summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert heads.count() == before + 1
    assert page.locator("#t0-table-accuracy th", has_text="backbone").is_visible()
    page.keyboard.press("Escape")
    assert page.locator(".choices").is_hidden()
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_the_theme_is_chosen_with_a_button_and_kept(page, file):
    colour = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(colour) == "rgb(255, 255, 255)"
    button = page.get_by_role("button", name="Theme")
    button.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert "dark" in button.inner_text()
    dark = page.evaluate(colour)
    assert dark != "rgb(255, 255, 255)"
    page.reload()
    assert page.evaluate(colour) == dark


def test_the_command_is_copied(browser, file):
    page = open_page(browser, file, permissions=["clipboard-read", "clipboard-write"])
    button = page.get_by_role("button", name="Copy the command: Make this page")
    button.click()
    button.filter(has_text="Copied").wait_for()  # the browser copies in its own time
    assert page.evaluate("navigator.clipboard.readText()") == "harness report runs --bench abc123 -o report.html"
    page.context.close()


@pytest.mark.parametrize("form", ["svg", "png"])
def test_a_figure_is_saved_as_a_file(page, form, tmp_path):
    page.locator("#t0-figure-answer .plot.drawn").first.wait_for()
    with page.expect_download() as download:
        page.locator(f"#t0-figure-answer .save[data-form={form}]").first.click()
    saved = tmp_path / "figure"
    download.value.save_as(saved)
    assert download.value.suggested_filename == f"5-way-1-shot-points-from-skd-gen0.{form}"
    assert saved.read_bytes().startswith({"svg": b"<svg", "png": b"\x89PNG"}[form])


def test_zoom_is_off_until_asked_for_so_that_the_wheel_scrolls_the_page(page):
    plot = page.locator("#t0-figure-answer .plot.drawn").first
    plot.wait_for()
    plot.hover()
    page.mouse.wheel(0, 200)
    page.wait_for_function("scrollY > 0")
    button = page.locator("#t0-figure-answer .zoom").first
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    page.locator("#t0-figure-answer .plot.zooming").first.wait_for()
    assert page.troubles == []


def test_the_numbers_of_a_figure_are_a_table_on_request(page):
    page.locator("#t0-figure-answer .numbers summary").first.click()
    table = page.locator("#t0-figure-answer .numbers table").first
    assert table.locator("thead th").all_inner_texts() == ["row", "points", "p", "verdict"]
    assert table.locator("tbody tr").count() == 3


@pytest.mark.parametrize(("width", "theme"), [(390, "light"), (768, "dark"), (1280, "light")])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(browser, file, width, theme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = open_page(browser, file, width, color_scheme=theme)
    draw_all(page)
    found = axe.run(page).response["violations"]
    faults = [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found if rule["impact"] != "minor"]
    assert faults == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.context.close()


def test_a_phone_shows_every_accuracy_as_cards_that_sort(browser, file):
    page = open_page(browser, file, 390, 844)
    card = page.locator("#t0-table-accuracy tbody tr").first
    assert card.evaluate("line => line.getBoundingClientRect().right") <= 390
    assert card.locator("td:visible").count() == 8
    for cell in card.locator("td:visible").all():
        assert cell.bounding_box()["x"] + cell.bounding_box()["width"] <= 390
    page.get_by_label("Sort by").select_option(label="training")
    page.get_by_role("button", name="Lowest first").click()
    assert names(page)[0] == "protonet"
    page.context.close()


def test_print_shows_all_columns_and_all_that_is_folded(page):
    draw_all(page)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 718, "height": 1000})  # A4 within its margins
    assert page.locator("#t0-table-differences").is_visible()
    for table in page.locator(".grid table").all():
        assert table.bounding_box()["x"] + table.bounding_box()["width"] <= 719


def test_the_page_opens_at_a_section_from_its_contents(page):
    page.get_by_role("navigation").get_by_role("link", name="Conditions").click()
    assert Path(page.url).name.endswith("#t0-conditions")
    assert page.locator("#t0-conditions").bounding_box()["y"] < 900


@pytest.fixture
def looked_into(browser, catalogue, run_bench, tmp_path):
    """The page of a real bench with its predictions and images."""
    record = run_bench(methods=("pixels", "untrained"), floors=False)
    report = with_images(build_report([(tmp_path / "runs", record)]), catalogue, tmp_path / "data")
    path = tmp_path / "page.html"
    path.write_text(catalogue.reporter("html").render(report), encoding="utf-8")
    page = open_page(browser, path)
    yield page
    page.context.close()


def test_an_episode_shows_its_images_and_what_two_rows_answered(looked_into):
    place = looked_into.locator(".episodes")
    assert place.locator(".queries-of").count() == 5
    cards = place.locator(".queries li")
    assert cards.count() == 25
    assert place.locator(".shown img").count() == 25 + 5  # one-shot
    assert place.locator(".shown img").first.evaluate("image => image.complete && image.naturalWidth") == 16
    assert cards.first.inner_text().count("pixels: ") == cards.first.inner_text().count("untrained: ") == 1
    differ = int(place.locator(".summary").inner_text().rstrip(".").split()[-1])
    place.get_by_label("Only where they differ").check()
    assert cards.count() == differ > 0
    assert looked_into.troubles == []


def test_a_point_of_the_map_shows_its_image(looked_into):
    panel = looked_into.locator("#t0-figure-map .panel")
    panel.scroll_into_view_if_needed()
    looked_into.wait_for_selector("#t0-map-0.drawn")
    plot = looked_into.locator("#t0-map-0 canvas")
    box = plot.bounding_box()
    image = looked_into.locator("#vg-tooltip-element.visible img")
    for step in range(400):  # the mouse looks for a point
        across, down = divmod(step, 20)
        looked_into.mouse.move(box["x"] + box["width"] * (across + 0.5) / 20, box["y"] + 420 * (down + 0.5) / 20)
        if image.count():
            break
    assert image.evaluate("image => image.complete && image.naturalWidth") == 16
    assert looked_into.troubles == []


def test_episodes_are_stepped_through_with_the_keyboard(looked_into):
    episode = looked_into.locator("select.episode")
    looked_into.get_by_role("button", name="Next", exact=True).focus()
    looked_into.keyboard.press("Enter")
    assert episode.input_value() == "1"
    looked_into.get_by_role("button", name="Previous", exact=True).press("Enter")
    assert episode.input_value() == "0"
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    violations = axe.run(looked_into).response["violations"]
    assert [rule["id"] for rule in violations if rule["impact"] != "minor"] == []


def test_a_class_of_any_name_is_drawn(browser, run_bench, tmp_path):
    """Also one that every object of a script has already."""
    record = run_bench(methods=("pixels", "untrained"), floors=False)
    report = build_report([(tmp_path / "runs", record)])
    kept = report.tables[0].predictions
    names = ("__proto__", "constructor", "toString", *kept.class_names[3:])
    kept.split = replace(kept.split, class_names=names)
    path = tmp_path / "page.html"
    path.write_text(html(report), encoding="utf-8")
    page = open_page(browser, path)
    draw_all(page)
    with page.expect_download() as download:
        page.locator("#t0-figure-classes .save[data-form=svg]").first.click()
    drawn = Path(download.value.path()).read_text(encoding="utf-8")
    assert [name for name in names if f"{name}<" not in drawn] == []
    assert page.troubles == []
    page.context.close()
