"""The job of open and closed models: as it stands it needs no key, and two lines change that."""

from __future__ import annotations

from pathlib import Path

from lens_ray.job import load_job
from lens_ray.models.api.options import SCRIPTED, ApiOptions
from lens_ray.suites.sample import ABILITIES

JOB = Path("jobs/open_and_closed.yaml")


def closed(path: Path) -> list[ApiOptions]:
    models = [model for model in load_job(path).models if model.access == "closed"]
    assert {model.backend for model in models} == {"openai", "anthropic", "gemini"}
    options = [model.parsed_options() for model in models]
    return [one for one in options if isinstance(one, ApiOptions)]


def test_every_closed_model_is_scripted_and_has_a_price() -> None:
    options = closed(JOB)
    assert len(options) == 3
    for one in options:
        assert one.base_url == SCRIPTED
        assert one.price is not None
        assert one.scripted is not None
        assert isinstance(one.scripted.skill, dict)
        assert set(one.scripted.skill) == set(ABILITIES)


def test_two_lines_make_it_ask_the_providers(tmp_path: Path) -> None:
    text = JOB.read_text()
    changed = text.replace("&server builtin:scripted", "&server null").replace("limit: 240", "")
    assert sum(a != b for a, b in zip(text.splitlines(), changed.splitlines(), strict=True)) == 2
    (tmp_path / "job.yaml").write_text(changed)
    assert [one.base_url for one in closed(tmp_path / "job.yaml")] == [None] * 3
    assert load_job(tmp_path / "job.yaml").limit is None
