"""A real Chromium without a network, and a page that must not do anything on its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, Route, sync_playwright

ARGUMENTS = (
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--no-first-run",
)


@dataclass
class Watched:
    """A page, and what it did that a report must not do."""

    page: Page
    url: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self) -> Page:
        """Open the report and wait until its script has run."""
        self.page.goto(self.url, wait_until="load")
        return self.page

    def check(self) -> None:
        """It loaded itself alone, and nothing spoke up."""
        assert self.requests == [self.url]
        assert self.complaints == []


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.fail("no chromium; type `make test-browser`, which installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield browser
        browser.close()


def watch(context: BrowserContext, file: Path) -> Watched:
    """A new page on a report, without a network."""
    context.set_offline(True)
    context.set_default_timeout(10_000)
    watched = Watched(context.new_page(), file.as_uri())

    def ask(route: Route) -> None:
        # Every request passes here, whoever makes it; only the report itself is let through.
        url = route.request.url
        if not url.startswith("data:"):
            watched.requests.append(url)
        if url == watched.url or url.startswith("data:"):
            route.continue_()
        else:
            route.abort()

    def refuse(dialog: Dialog) -> None:
        watched.complaints.append(f"dialog {dialog.message}")
        dialog.dismiss()

    page = watched.page
    page.route("**/*", ask)
    page.on("dialog", refuse)
    page.on("console", lambda message: watched.complaints.append(message.text))
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    page.on("popup", lambda popup: watched.complaints.append("popup"))
    return watched
