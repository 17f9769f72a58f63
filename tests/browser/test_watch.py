"""The curves of watched runs in a real Chromium: drawn without a network, and silently."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from lens_ray.report.watched import write_watch_page
from tests.browser.conftest import Watched, watch
from tests.report.watched import HOSTILE, STEPS, findings

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", params=["", HOSTILE], ids=["plain", "hostile"])
def page_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("watch")
    runs = [("w", findings(request.param)), ("w", findings(request.param))]
    return write_watch_page(runs, folder / "curves.html", "/store")


@pytest.fixture(params=["light", "dark"])
def watched(browser: Browser, page_file: Path, request: pytest.FixtureRequest) -> Iterator[Watched]:
    context = browser.new_context(
        viewport={"width": 1300, "height": 900},
        color_scheme="dark" if request.param == "dark" else "light",
    )
    watched = watch(context, page_file)
    yield watched
    watched.check()  # no request but its own, no word on the console
    assert watched.page.evaluate("window.pwned") is None
    context.close()


def test_the_figure_is_drawn_and_its_buttons_work(watched: Watched) -> None:
    page = watched.open()
    figure = page.locator('[data-figure="0"]')
    expect(figure.locator(".cartesianlayer .subplot.x4y4 .scatterlayer .trace")).not_to_have_count(
        0
    )
    # An ability's own line has a point a checkpoint.
    main = figure.locator(".subplot.x2y2 .scatterlayer .trace.scatter").filter(
        has=page.locator(".point")
    )
    expect(main.first.locator(".point")).to_have_count(len(STEPS))
    expect(figure.locator(".shapelayer path")).not_to_have_count(0)
    expect(figure.locator(".annotation-text").first).to_contain_text("counting")

    def shown() -> int:
        return figure.locator(".scatterlayer .trace").count()

    lines = shown()
    switches = page.locator('[data-switches="0"]')
    switches.get_by_role("button", name="With subtasks").click()
    expect(figure.locator(".scatterlayer .trace")).to_have_count(lines + 6)
    switches.get_by_role("button", name="Tokens").click()
    expect(figure.locator(".xtitle").first).to_have_text("tokens")
    expect(switches.get_by_role("button", name="Tokens")).to_have_attribute("aria-pressed", "true")
    expect(switches.get_by_role("button", name="Steps")).to_have_attribute("aria-pressed", "false")
    ticks = figure.locator(".subplot.x2y2 ~ *, .xtick text")
    expect(ticks.filter(has_text="B").first).to_be_attached()
    switches.get_by_role("button", name="Stability").click()
    switches.get_by_role("button", name="Abilities").click()
    expect(figure.locator(".scatterlayer .trace")).to_have_count(lines)
    # The other run's figure has buttons of its own.
    other = page.locator('[data-figure="1"]')
    expect(other.locator(".xtitle").first).to_have_text("training step")


def test_the_pointer_reads_a_point(watched: Watched) -> None:
    page = watched.open()
    point = page.locator('[data-figure="0"] .subplot.xy .scatterlayer .point').nth(3)
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    said = page.locator('[data-figure="0"] .hoverlayer')
    expect(said).to_contain_text("step 8,700")
    expect(said).to_contain_text("0.800 [0.750, 0.850]")
    expect(said).to_contain_text("to the checkpoint before, paired")


def test_a_narrow_window_does_not_scroll_sideways(browser: Browser, page_file: Path) -> None:
    context = browser.new_context(viewport={"width": 400, "height": 800})
    watched = watch(context, page_file)
    page = watched.open()
    wide, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= window
    watched.check()
    context.close()


def test_without_script_the_lists_are_still_there(browser: Browser, page_file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    expect(page.get_by_text("give entity more data").first).to_be_visible()
    expect(page.get_by_text("known at 9,600").first).to_be_visible()
    context.close()
