from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from typing import Any

import pytest

import lens_ray.registry
from lens_ray.errors import SuiteError
from lens_ray.registry import Registry
from lens_ray.suites.abilitylens import PRESETS, find_preset
from lens_ray.suites.sample import ABILITIES
from lens_ray.suites.sources import registry
from lens_ray.suites.sources.base import Options, Place, Source
from lens_ray.suites.sources.registry import ELEVEN, SOURCES, find_source


def test_the_default_is_what_the_reference_advises() -> None:
    options = PRESETS["abilitylens"].options
    assert options == Options()
    assert options.as_json() == {
        "faithful": False,
        "first_half": False,
        "complete_groups": True,
        "weights": "samples",
        "submetrics": "category",
        "mme": "pairs",
        "mmbench": "circular",
        "conbench": "triple",
        "pairs": "table",
        "lite": [],
    }


def test_the_paper() -> None:
    options = find_preset("abilitylens-paper").options
    assert options.faithful
    assert options.first_half
    assert options.pairs == "narrow"
    assert options.lite == ("chartqa", "ai2d")
    assert SOURCES["seed_bench"].place(options).config is None
    assert SOURCES["mmbench"].place(options).split == "dev"


def test_the_lite_subsets_and_their_configurations() -> None:
    options = PRESETS["abilitylens-lite"].options
    found = {name: SOURCES[name].place(options) for name in ELEVEN}
    hub = ("lmms-lab-encoder/LMMs-Eval-Lite", "lmms-lab/LMMs-Eval-Lite")
    lite = {name: place for name, place in found.items() if place.split == "lite"}
    assert lite == {
        "seed_bench": Place(hub, "seedbench", "lite"),
        "mmbench": Place(hub, "mmbench_en_dev", "lite"),
        "chartqa": Place(hub, "chartqa", "lite"),
        "ai2d": Place(hub, "ai2d", "lite"),
    }
    # The filters apply to them too.
    assert SOURCES["seed_bench"].taken(options) == SOURCES["seed_bench"].taken(Options())


def test_every_preset_asks_all_eleven_and_all_six() -> None:
    for name, preset in PRESETS.items():
        assert preset.name == name
        assert set(preset.sources) == set(ELEVEN)
        asked = {a for source in preset.sources for a in SOURCES[source].taken(preset.options)}
        assert asked == set(preset.abilities) == set(ABILITIES)


def test_unknown_names_give_the_nearest() -> None:
    with pytest.raises(
        SuiteError, match=r"'abilitylens-papers' has no recipe; .* 'abilitylens-pap"
    ):
        find_preset("abilitylens-papers")
    with pytest.raises(SuiteError, match=r"source 'seedbench' is not known; .* 'seed_bench'"):
        find_source("seedbench")


def test_where_the_hub_has_them() -> None:
    places = {name: SOURCES[name].place(Options()) for name in ELEVEN}
    assert {name: (place.hub[-1], place.config, place.split) for name, place in places.items()} == {
        "mme": ("lmms-lab/MME", None, "test"),
        "seed_bench": ("lmms-lab/SEED-Bench", None, "test"),
        "mirb": ("VLLMs/MIRB-hf", None, "test"),
        "mmstar": ("Lin-Chen/MMStar", None, "val"),
        "muirbench": ("MUIRBENCH/MUIRBENCH", None, "test"),
        "ocrbench": ("echo840/OCRBench", None, "test"),
        "synthdog": ("naver-clova-ix/synthdog-en", None, "validation"),
        "mmbench": ("lmms-lab/MMBench", "en", "dev"),
        "chartqa": ("lmms-lab/ChartQA", None, "test"),
        "ai2d": ("lmms-lab/ai2d", None, "test"),
        "conbench": ("ConBench/ConBench_D", None, "test"),
    }
    for place in places.values():
        assert all(one.startswith("lmms-lab") for one in place.hub) or len(place.hub) == 1
    for source in SOURCES.values():
        assert source.licence
        assert source.optional <= source.columns.keys()
        assert all(
            s.column is None or s.column in source.columns for s in source.abilities.values()
        )


def test_options_from_a_command_line() -> None:
    read = Options().changed(
        {"faithful": "true", "lite": "ai2d, chartqa", "mmbench": "plain", "complete_groups": False}
    )
    assert read == Options(
        faithful=True, lite=("ai2d", "chartqa"), mmbench="plain", complete_groups=False
    )
    assert Options(lite=("ai2d",)).changed({"lite": []}) == Options()
    assert read.changed(read.as_json()) == read


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"mmbnech": "plain"}, "option 'mmbnech' is not known; the nearest is 'mmbench'"),
        ({"mmbench": "round"}, "option mmbench: 'round' is not known; give one of circular, plain"),
        ({"faithful": "1"}, "option faithful: '1' is neither true nor false"),
        ({"faithful": 1}, "option faithful: 1 is neither true nor false"),
        (
            {"weights": ["samples"]},
            "option weights: ['samples'] is not known; give one of samples, ",
        ),
        (
            {"lite": "mme"},
            "option lite: 'mme' has no lite subset; give some of seed_bench, mmbench",
        ),
        ({"lite": 3}, "option lite: 3 has no lite subset"),
        ({"lite": None}, "option lite: None has no lite subset"),
    ],
)
def test_an_option_that_is_not_known(values: dict[str, Any], line: str) -> None:
    with pytest.raises(SuiteError) as said:
        Options().changed(values)
    assert str(said.value).startswith(line)


class TestEntryPoints:
    @staticmethod
    def found(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> Registry[Source]:
        entry = EntryPoint(name, value, registry.GROUP)
        monkeypatch.setattr(lens_ray.registry, "entry_points", lambda group: [entry])
        return Registry({"mme": SOURCES["mme"]}, registry.GROUP, registry._load)

    def test_a_source_of_another_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sources = self.found(monkeypatch, "ai2d", "lens_ray.suites.sources.ai2d:SOURCE")
        assert sources["ai2d"] is SOURCES["ai2d"]
        assert list(sources) == ["mme", "ai2d"]

    def test_something_that_is_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sources = self.found(monkeypatch, "mine", "lens_ray.suites.sources.ai2d:ask")
        with pytest.raises(SuiteError, match=r"source 'mine': .* is no lens_ray Source"):
            list(sources)

    def test_a_name_that_is_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sources = self.found(monkeypatch, "mme", "lens_ray.suites.sources.mme:SOURCE")
        with pytest.raises(SuiteError, match=r"source 'mme': .* is named 'mme'"):
            list(sources)


def test_naming_a_template_reads_no_source() -> None:
    code = (
        "import sys, lens_ray.suites\n"
        "from lens_ray.suites.templates import TEMPLATES\n"
        "print([name for name in sys.modules if name.startswith('lens_ray.suites.sources')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
