"""The report in a real Chromium: it works without a network, and nothing in it runs but its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from lens_ray.report import write_report
from lens_ray.store import Store
from lens_ray.suites.suite import Suite, load_suite
from tests.browser.conftest import Watched, watch
from tests.report.makers import HOSTILE, add_run, clever, even, saying

pytestmark = pytest.mark.browser

ROWS = ".leaderboard > tbody > tr:not(.detail)"
HOSTILE_NAME = '<img src=x onerror="window.pwned=9">'


@pytest.fixture(scope="module")
def suite() -> Suite:
    return load_suite("mini:quick")


@pytest.fixture(scope="module")
def report(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    store = Store(str(folder / "store"), create=True)
    for step in (500, 1000, 4000):
        skill = even(suite, 0.3 + step / 8000)
        add_run(store, suite, f"minivlm-a-step-{step:04d}", clever(skill, f"a{step}"), step=step)
    skill = even(suite, 0.55) | {"ocr": 0.95}
    add_run(store, suite, "minivlm-b-step-1000", clever(skill, "b1"), step=1000)
    guess = clever(even(suite, 0.6), "closed")
    add_run(
        store, suite, "closed-model",
        lambda s: None if s.ability == "ocr" and s.sample_id.endswith("3") else guess(s),
        access="closed",
    )  # fmt: skip
    # Each subtask's first samples are shown, so every text is met in every ability.
    add_run(store, suite, HOSTILE_NAME, saying(list(HOSTILE.values()), clever({}, "h")))
    return write_report(store, folder / "report.html")


@pytest.fixture
def watched(browser: Browser, report: Path) -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": 1380, "height": 950})
    watched = watch(context, report)
    yield watched
    watched.check()
    assert watched.page.evaluate("window.pwned") is None
    context.close()


def models_in_order(page: Page) -> list[str]:
    return page.locator(".leaderboard .unfold").all_inner_texts()


def shown_samples(page: Page) -> int:
    return page.locator("#list button").count()


def test_the_leaderboard_sorts_by_every_column(watched: Watched) -> None:
    page = watched.open()
    first = models_in_order(page)
    assert first[0] == "minivlm-a-step-4000"
    assert first[-1] == "closed-model"
    headings = page.locator(".leaderboard > thead th")
    for place in range(headings.count()):
        heading = headings.nth(place)
        seen = set()
        for _ in range(2):
            heading.locator("button").click()
            order = heading.get_attribute("aria-sort")
            seen.add(order)
            cells = page.locator(f"{ROWS} > :nth-child({place + 1})")
            values = [cell.get_attribute("data-sort") or "" for cell in cells.all()]
            known = [value for value in values if value]
            assert values == known + [""] * (len(values) - len(known)), "null is not last"
            if place not in (0, headings.count() - 1):
                figures = [float(value) for value in known]
                assert figures == sorted(figures, reverse=order == "descending")
            else:
                assert known == sorted(known, reverse=order == "descending")
        assert seen == {"ascending", "descending"}
    page.locator(".leaderboard > thead button", has_text="ocr").click()
    assert models_in_order(page)[0] == "minivlm-b-step-1000"


def test_a_null_says_why(watched: Watched) -> None:
    page = watched.open()
    cell = page.locator(ROWS, has_text="closed-model").locator("td").nth(1)
    expect(cell).to_have_text("–")
    expect(cell).to_have_attribute("title", "ocr: coverage 0.8824 is below 0.99")
    expect(page.locator(".reasons")).to_contain_text("ocr, closed-model: coverage 0.8824")


def test_a_models_sheet_opens_and_closes(watched: Watched) -> None:
    page = watched.open()
    expect(page.locator("tr.detail:visible")).to_have_count(0)
    button = page.locator(".unfold", has_text="minivlm-b-step-1000")
    button.press("Enter")
    sheet = page.locator("tr.detail:visible")
    expect(sheet).to_have_count(1)
    expect(sheet.locator(".figures tbody tr")).to_have_count(7)
    expect(sheet).to_contain_text("flip_rate")
    expect(button).to_have_attribute("aria-expanded", "true")
    button.press("Enter")
    expect(page.locator("tr.detail:visible")).to_have_count(0)


def test_the_profile_shows_the_chosen_models(watched: Watched) -> None:
    page = watched.open()
    drawn = page.locator(".profile .model:not(.faint)")
    # The best of each series at first.
    expect(drawn).to_have_count(4)
    page.get_by_role("button", name="All", exact=True).click()
    expect(drawn).to_have_count(6)
    page.get_by_role("button", name="None", exact=True).click()
    expect(drawn).to_have_count(0)
    page.get_by_role("checkbox", name="minivlm-a-step-0500").check()
    expect(drawn).to_have_count(1)
    expect(drawn.locator(".mark")).to_have_count(6)
    expect(drawn.locator(".whisker").first).to_be_visible()
    expect(page.locator(".profile .faint .mark").first).to_be_hidden()
    title = drawn.locator(".mark title").first
    assert re.fullmatch(r"minivlm-a-step-0500, counting: -?0\.\d+ \[.*\], n 102",
                        title.text_content() or "")  # fmt: skip
    page.get_by_role("button", name="Best of each series").click()
    expect(drawn).to_have_count(4)


def test_the_curves_show_training_runs_of_two_steps_or_more(watched: Watched) -> None:
    page = watched.open()
    expect(page.locator(".keys li")).to_have_text(["minivlm-a"])
    expect(page.locator(".curves .panel-title")).to_have_count(6)
    expect(page.locator(".curves .mark")).to_have_count(18)


def test_a_sample_is_shown_whole(watched: Watched, suite: Suite) -> None:
    page = watched.open()
    page.select_option("[name=subtask]", "counting_shelf")
    page.select_option("[name=model]", label="closed-model")
    box = page.locator("#sample")
    sample_id = box.locator(".what").inner_text().rpartition(" · ")[2]
    sample = suite.by_id[sample_id]
    expect(box.locator("h3")).to_have_text(sample.question)
    expect(box.locator(".options li")).to_have_count(len(sample.choices))
    gold = sample.choices[ord(sample.answers[0]) - ord("A")]
    expect(box.locator(".options .gold")).to_have_text(f"{sample.answers[0]}{gold}✓ correct")
    image = box.locator("img")
    expect(image).to_have_count(1)
    assert image.evaluate("img => [img.complete, img.naturalWidth]") == [True, 64]
    expect(box.locator(".answers tbody tr")).to_have_count(1)
    expect(box.locator(".answers .chip")).to_have_text(re.compile("✓ right|✗ wrong"))
    expect(box.locator(".answers .status")).to_have_text("ok")


def test_two_images_are_two(watched: Watched) -> None:
    page = watched.open()
    page.select_option("[name=subtask]", "entity_pair")
    expect(page.locator("#sample img")).to_have_count(2)
    expect(page.locator("#sample figcaption").last).to_contain_text("image 2 of 2")


def test_filters(watched: Watched, suite: Suite) -> None:
    page = watched.open()
    assert shown_samples(page) == 200
    expect(page.locator("#count")).to_have_text("200 of 200 samples; 612 were answered")
    page.select_option("[name=ability]", "ocr")
    of_ability = shown_samples(page)
    assert 30 <= of_ability <= 36
    expect(page.locator("[name=subtask] option")).to_have_count(4)
    page.select_option("[name=model]", label="closed-model")
    counts = []
    for mark in ("right", "partly", "wrong", "none"):
        page.select_option("[name=outcome]", f"mark:{mark}")
        counts.append(shown_samples(page))
        expect(page.locator(f"#list .chip.{mark}")).to_have_count(counts[-1])
    assert sum(counts) == of_ability
    assert counts[0] > 0
    assert counts[3] > 0
    page.select_option("[name=outcome]", "status:infra_error")
    assert shown_samples(page) == counts[3]
    expect(page.locator("#sample .answers")).to_contain_text("replica died (scripted)")
    page.select_option("[name=outcome]", "")
    page.fill("[name=search]", "no such words anywhere")
    expect(page.locator("#sample")).to_have_text("No sample passes these filters.")
    page.fill("[name=search]", "ocr_panel")
    assert 0 < shown_samples(page) < of_ability


def test_the_suite_is_chosen_where_there_are_several(
    browser: Browser, suite: Suite, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "store"), create=True)
    add_run(store, suite, "here", clever(even(suite, 0.5), "here"))
    gone = Suite("gone", "e" * 64, suite.samples,
                 replace(suite.info, name="gone", digest="e" * 64), suite.location)  # fmt: skip
    add_run(store, gone, "elsewhere", clever(even(suite, 0.5), "elsewhere"))
    context = browser.new_context()
    watched = watch(context, write_report(store, tmp_path / "report.html", samples=36))
    page = watched.open()
    expect(page.locator(".leaderboard")).to_have_count(2)
    expect(page.locator("#sample img")).not_to_have_count(0)
    page.select_option("[name=suite]", label=f"gone @ {'e' * 12}")
    expect(page.locator("[name=model] option")).to_have_text(["All models", "elsewhere"])
    expect(page.locator("#sample .warning")).to_contain_text("not shown: suite")
    expect(page.locator("#sample img")).to_have_count(0)
    expect(page.locator("#sample .answers .chip")).to_have_count(1)
    watched.check()
    context.close()


def test_models_are_compared_on_one_sample(watched: Watched) -> None:
    page = watched.open()
    page.select_option("[name=outcome]", "differ")
    rows = page.locator("#sample .answers tbody tr")
    expect(rows).to_have_count(6)
    assert len(set(rows.locator(".chip").all_inner_texts())) > 1


def test_the_list_is_walked_by_keys(watched: Watched) -> None:
    page = watched.open()
    entries = page.locator("#list button")
    entries.first.focus()
    page.keyboard.press("ArrowDown")
    expect(entries.nth(1)).to_have_attribute("aria-current", "true")
    expect(entries.nth(1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(entries.first).to_have_attribute("aria-current", "true")


def test_hostile_texts_are_shown_and_do_not_run(watched: Watched) -> None:
    page = watched.open()
    page.select_option("[name=model]", label=HOSTILE_NAME)
    page.select_option("[name=subtask]", "counting_shapes")
    shown: list[str] = []
    for entry in page.locator("#list button").all():
        entry.click()
        text = page.locator("#sample .answers .said").inner_text()
        shown.append(text)
        assert page.locator("#sample .answers .said *:not(pre):not(span)").count() == 0
    for kind in ("script", "closer", "image", "link"):
        assert HOSTILE[kind] in shown
    assert "before␀after" in shown
    assert "lone \\ud800 and \\udfff" in shown
    assert any(text.startswith("␛[31mred␛[0m␛]0;title␇␛[2J") for text in shown)
    assert any("\\u202egnp.exe" in text for text in shown)
    (long,) = [text for text in shown if text.startswith("xxxx")]
    assert "the whole text has 1,000,000 characters" in long
    assert len(long) < 3_000
    assert page.locator("script").count() == 2
    assert page.locator("img").count() == page.locator("#sample .pictures img").count()


def test_the_policy_stops_what_would_run(browser: Browser, report: Path) -> None:
    """Were a text ever put into the page as markup, the policy would still stop it."""
    context = browser.new_context()
    watched = watch(context, report)
    page = watched.open()
    page.evaluate(
        """() => {
          const box = document.createElement("div");
          box.innerHTML = '<img src="x:" onerror="window.pwned = 1"><b style="color: red">b</b>';
          const script = document.createElement("script");
          script.textContent = "window.pwned = 2";
          document.body.append(box, script);
        }"""
    )
    page.wait_for_function("document.querySelector('img[onerror]').complete")
    assert page.evaluate("window.pwned") is None
    assert any("Content Security Policy" in complaint for complaint in watched.complaints)
    context.close()


@pytest.mark.parametrize(
    ("scheme", "ground"), [("light", "rgb(246, 247, 249)"), ("dark", "rgb(16, 19, 24)")]
)
def test_light_and_dark(browser: Browser, report: Path, scheme: str, ground: str) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    watched = watch(context, report)
    page = watched.open()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == ground
    watched.check()
    context.close()


def test_a_narrow_window_does_not_scroll_sideways(browser: Browser, report: Path) -> None:
    context = browser.new_context(viewport={"width": 400, "height": 800})
    watched = watch(context, report)
    page = watched.open()
    wide, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= window
    name, figure = (
        page.locator(f"{ROWS} >> nth=0").locator(part).bounding_box()
        for part in (".unfold", ".value >> nth=0")
    )
    assert name is not None
    assert figure is not None
    assert name["x"] + name["width"] <= figure["x"]
    watched.check()
    context.close()


def test_without_script_the_figures_are_still_there(browser: Browser, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    expect(page.locator(".leaderboard .unfold").first).to_be_visible()
    expect(page.locator("tr.detail").first).to_be_visible()
    expect(page.get_by_text("switched off here")).to_be_visible()
    context.close()
