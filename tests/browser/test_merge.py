"""The pages of a search and of a verification in a real Chromium: drawn offline, and silently."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from lens_ray.report.merge_report import write_merge_report
from lens_ray.report.merged import write_merged_page
from tests.browser.conftest import Watched, watch
from tests.report.test_merge_report import ABILITY, EVIL, verification
from tests.report.test_merged import searched

pytestmark = pytest.mark.browser


@pytest.fixture(params=["light", "dark"])
def page_of(
    browser: Browser, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[dict[str, Watched]]:
    context = browser.new_context(color_scheme="dark" if request.param == "dark" else "light")
    found = verification(ABILITY, path=EVIL, folder=EVIL)
    pages = {
        "search": watch(context, write_merged_page(searched("conflict"), tmp_path / "s.html")),
        "verification": watch(context, write_merge_report(found, tmp_path / "v.html")),
    }
    yield pages
    for watched in pages.values():
        watched.check()  # no request but its own, no word on the console
    context.close()


def test_both_pages_show_what_they_are_for(page_of: dict[str, Watched]) -> None:
    page = page_of["search"].open()
    merged = searched("conflict")
    marks = page.locator("svg .mark")
    expect(marks.first).to_be_visible()
    assert merged.confirmation is not None
    expect(page.locator("body")).to_contain_text(merged.recommended.name)
    box = page.locator("svg").first.bounding_box()
    assert box is not None
    assert box["width"] > 300
    page = page_of["verification"].open()
    expect(page.locator("body")).to_contain_text("ocr")
    assert page.locator("img, script").count() == 0
    expect(page.locator("h1, h2").first).to_be_visible()
