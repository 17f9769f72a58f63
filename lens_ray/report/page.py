"""`write_report`: a store becomes one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lens_ray.errors import UserError
from lens_ray.report.files import check_target, whole_file
from lens_ray.report.safe import content_policy, script_json, visible_line
from lens_ray.suites.suite import load_suite

if TYPE_CHECKING:
    from jinja2 import Template

    from lens_ray.online.findings import Findings
    from lens_ray.report.gather import SuitePage
    from lens_ray.report.samples import SuiteLoader
    from lens_ray.store import Store

#: Samples of each suite that can be looked at, unless the caller wants another number.
SAMPLES = 200
_ASSETS = Path(__file__).parent / "assets"


def write_report(
    store: Store,
    out: str | Path,
    *,
    samples: int = SAMPLES,
    suites: Sequence[str] = (),
    suite_loader: SuiteLoader = load_suite,
) -> Path:
    """Write what a store holds as one self-contained HTML file.

    It has a leaderboard, a profile of the abilities and the curves of training runs for each
    suite, what was found in watched training runs, and samples with every model's answer. It
    loads nothing, and nothing in it runs but its own scripts. The same store gives the same bytes.

    Args:
        store: The store.
        out: File to write; an older one is replaced at once when the new one is complete.
        samples: Samples of each suite that can be looked at; 0 leaves them out.
        suites: Folders, archives or URLs of suites that are not installed under their name.
        suite_loader: Finds a suite by reference. Without its suite a sample's answers are shown
            and its question and images are not.

    Returns:
        The file.

    Raises:
        UserError: The store has no run, or the file cannot be written.
        StoreUnavailable: The store cannot be read.
        EnvironmentFailure: The disk is full or fails.
    """
    from lens_ray.report.gather import gather
    from lens_ray.report.samples import browser_data
    from lens_ray.report.watched import watched_runs

    path = Path(out)
    check_target(path)
    if samples < 0:
        raise UserError(f"samples: {samples} is less than none; give 0 or more")
    pages = gather(store)
    browsers = [
        browser_data(
            store,
            name=page.name,
            digest=page.digest,
            refs=[*page.refs, *suites],
            runs=[(run.header.run_id, run.row.label) for run in page.runs],
            samples=samples,
            suite_loader=suite_loader,
        )
        for page in pages
        if samples
    ]
    with whole_file(path) as file:
        file.write(render_page(store.url, pages, browsers, watched_runs(store)).encode())
    return path


def render_page(
    url: str,
    pages: Sequence[SuitePage],
    browsers: Sequence[dict[str, Any]],
    watches: Sequence[tuple[str, Findings]] = (),
) -> str:
    """The page's text.

    Args:
        url: Where the store is.
        pages: From `lens_ray.report.gather.gather`.
        browsers: From `lens_ray.report.samples.browser_data`, for each suite or for none.
        watches: From `lens_ray.report.watched.watched_runs`.
    """
    from lens_ray.report.views import suite_view

    return skeleton(
        "report.html.jinja",
        watches=watches,
        browsers=browsers,
        url=visible_line(url),
        suites=[suite_view(page, f"suite-{at}") for at, page in enumerate(pages)],
        models=len({run.header.model for page in pages for run in page.runs}),
    )


def skeleton(
    template: str,
    *,
    watches: Sequence[tuple[str, Findings]],
    browsers: Sequence[dict[str, Any]] = (),
    **values: object,
) -> str:
    """A page's text: a template with style, scripts, data, and the policy that allows only them.

    Args:
        template: In ``assets/``.
        watches: Watched training runs, with the names of their watches.
        browsers: From `lens_ray.report.samples.browser_data`.
        values: What else the template fills in.
    """
    from markupsafe import Markup

    from lens_ray.report.watched import plotly_script, style_marks, watch_view

    style = (_ASSETS / "report.css").read_text(encoding="utf-8")
    script = (_ASSETS / "report.js").read_text(encoding="utf-8")
    views = [
        watch_view(watch, findings, f"run-{at}") for at, (watch, findings) in enumerate(watches)
    ]
    libraries = [plotly_script()] if any(figure["data"] for _, figure in views) else []
    data = {"suites": browsers, "figures": [figure for _, figure in views]}
    return _template(template).render(
        policy=content_policy(style, script, *libraries),
        style=Markup(style),
        script=Markup(script),
        libraries=[Markup(library) for library in libraries],
        style_marks=[mark for library in libraries for mark in style_marks(library)],
        runs=[view for view, _ in views],
        browsers=bool(browsers),
        data=Markup(script_json(data)),
        **values,
    )


def write_page(out: str | Path, render: Callable[[], str]) -> Path:
    """Write one self-contained HTML file.

    Args:
        out: File to write; an older one is replaced at once when the new one is complete.
        render: Makes its text; not called where the file cannot be written.

    Raises:
        UserError: The file cannot be written.
        EnvironmentFailure: The disk is full or fails.
    """
    path = Path(out)
    check_target(path)
    text = render()
    with whole_file(path) as file:
        file.write(text.encode())
    return path


def static_page(template: str, styles: Sequence[str], **values: object) -> str:
    """A page's text without scripts: a template with its style, and the policy for only that.

    Args:
        template: In ``assets/``.
        styles: In ``assets/``, in order.
        values: What else the template fills in.
    """
    from markupsafe import Markup

    style = "".join((_ASSETS / name).read_text(encoding="utf-8") for name in styles)
    return _template(template).render(policy=content_policy(style), style=Markup(style), **values)


def _template(name: str) -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
