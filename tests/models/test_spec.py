from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from lens_ray.errors import UserError
from lens_ray.models import Generation, ModelSpec, backend_entry, backend_names
from lens_ray.models.spec import FakeOptions, TransformersOptions


def problems(**given: Any) -> list[tuple[tuple[int | str, ...], str]]:
    with pytest.raises(ValidationError) as caught:
        ModelSpec(**{"name": "m", "path": "x", **given})
    return [(problem["loc"], problem["msg"]) for problem in caught.value.errors()]


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"colour": 1}, ("colour",)),
        ({"name": "a b"}, ("name",)),
        ({"name": ""}, ("name",)),
        ({"backend": "transformer"}, ("backend",)),
        ({"replicas": 0}, ("replicas",)),
        ({"replicas": "many"}, ("replicas",)),
        ({"tensor_parallel": 0}, ("tensor_parallel",)),
        ({"access": "secret"}, ("access",)),
        ({"step": -1}, ("step",)),
        ({"path": ""}, ()),
        ({"generation": {"temprature": 1}}, ("generation", "temprature")),
        ({"generation": {"max_new_tokens": 0}}, ("generation", "max_new_tokens")),
        ({"generation": {"temperature": float("nan")}}, ("generation", "temperature")),
        ({"generation": {"top_p": 0}}, ("generation", "top_p")),
        ({"generation": {"stop": [""]}}, ("generation", "stop")),
        ({"generation": 7}, ("generation",)),
        ({"options": {"batchsize": 1}}, ("options", "batchsize")),
        ({"options": {"batch_size": 0}}, ("options", "batch_size")),
        ({"options": {"dtype": "float8"}}, ("options", "dtype")),
        ({"options": []}, ("options",)),
        ({"backend": "fake", "options": {"times": 2}}, ("options",)),
        ({"backend": "fake", "options": {"batch_size": 2}}, ("options", "batch_size")),
    ],
)
def test_every_mistake_is_placed(given: dict[str, Any], place: tuple[str, ...]) -> None:
    found = problems(**given)
    assert any(where[: len(place)] == place for where, _ in found)
    for _, message in found:
        assert "\n" not in message


def test_messages_help() -> None:
    assert "did you mean 'transformers'" in problems(backend="transfomers")[0][1]
    assert "known: " in problems(backend="zzz")[0][1]
    assert "has no path" in problems(path=" ")[0][1]


def test_only_given_keys_are_kept() -> None:
    spec = ModelSpec(
        name="m", path="x", generation={"max_new_tokens": 4}, options={"batch_size": 8}
    )
    assert spec.generation == {"max_new_tokens": 4}
    assert spec.options == {"batch_size": 8}
    options = spec.parsed_options()
    assert isinstance(options, TransformersOptions)
    assert (options.batch_size, options.threads, options.max_pixels) == (8, 1, 1_500_000)
    assert TransformersOptions().batch_size == "auto"
    assert ModelSpec.model_validate_json(spec.model_dump_json()) == spec


def test_overrides_win_over_the_source() -> None:
    source = Generation(max_new_tokens=99, temperature=0.0, stop=("a",))
    spec = ModelSpec(name="m", path="x", generation={"temperature": 0.5, "seed": 3})
    assert spec.effective_generation(source) == Generation(99, 0.5, 1.0, 3, ("a",))
    plain = ModelSpec(name="m", path="x")
    assert plain.effective_generation(source) == source


def test_registry() -> None:
    assert {"fake", "transformers"} <= set(backend_names())
    assert backend_entry("fake").options is FakeOptions
    assert not backend_entry("fake").needs_checkpoint
    with pytest.raises(UserError, match="no backend is called 'x'"):
        backend_entry("x")


def test_a_backend_of_another_package(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    import lens_ray.models as models

    points = {
        "mine": EntryPoint("mine", "tests.models.other_backend:make", models.GROUP),
        "gone": EntryPoint("gone", "no_such_package:make", models.GROUP),
    }
    monkeypatch.setattr(models, "_registered", lambda: points)
    spec = ModelSpec(name="m", backend="mine", options={"depth": 3})
    assert type(models.create_backend(spec, "w")).__name__ == "OtherBackend"
    assert problems(backend="mine", options={"width": 3})[0][0] == ("options", "width")
    with pytest.raises(UserError, match="cannot be imported"):
        models.backend_entry("gone")
