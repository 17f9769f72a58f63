"""What the options of a provider refuse, and never repeat."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from lens_ray.models import ModelSpec

SECRET = "abcdefSECRETdef123"


@pytest.mark.parametrize(
    "options",
    [
        {"api_key_env": SECRET},
        {"api_key_env": SECRET.upper() * 2},
        {"api_key_env": [SECRET]},
        {"base_url": f"https://user:{SECRET}@host/v1"},
        {"base_url": f"https://host/v1?api-key={SECRET}"},
        {"base_url": f"https://host/v1?{SECRET}"},
        {"base_url": f"https://host/v1#{SECRET}"},
        {"base_url": f"https://{SECRET}@host"},
        {"base_url": f"ftp://host/{SECRET}"},
        {"base_url": f"http://host:port{SECRET}/"},
        {"base_url": SECRET},
        {"api_key": SECRET},
        {"headers": {"authorization": SECRET}},
    ],
)
@pytest.mark.parametrize("backend", ["openai", "anthropic", "gemini"])
def test_a_key_in_the_wrong_place_is_refused_and_not_repeated(
    backend: str, options: dict[str, object]
) -> None:
    with pytest.raises(ValidationError) as caught:
        ModelSpec(name="a", backend=backend, path="m", options=options)
    assert SECRET.lower() not in str(caught.value).lower()


@pytest.mark.parametrize(
    "url", ["http://localhost:8000/v1", "https://host", "http://[::1]:80/v1", "builtin:scripted"]
)
def test_a_place_is_taken(url: str) -> None:
    options = {"base_url": url, "api_key_env": "VLLM_KEY"}
    spec = ModelSpec(name="a", backend="openai", path="m", options=options)
    assert spec.options == options


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        ({}, {"OPENAI_API_KEY": SECRET}),
        ({}, {"HTTPS_PROXY": f"http://user:{SECRET}@proxy"}),
        ({"api_key_env": "MINE"}, {"MINE": SECRET}),
    ],
)
def test_secrets_do_not_travel_in_env_vars(
    options: dict[str, object], variables: dict[str, str]
) -> None:
    with pytest.raises(ValidationError, match="Ray shows env_vars to everybody") as caught:
        ModelSpec.model_validate(
            {
                "name": "a", "backend": "openai", "path": "m", "options": options,
                "runtime_env": {"env_vars": variables},
            }
        )  # fmt: skip
    assert SECRET not in str(caught.value)


def test_other_variables_do() -> None:
    variables = {"HF_HOME": "/models", "OPENAI_API_KEY_FILE": "/run/secrets/openai"}
    spec = ModelSpec.model_validate(
        {"name": "a", "backend": "openai", "path": "m", "runtime_env": {"env_vars": variables}}
    )
    assert spec.runtime_env is not None
    assert spec.runtime_env.env_vars == variables


@pytest.mark.parametrize("backend", ["openai", "anthropic", "gemini"])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"path": " "}, "has no path; write path: ID"),
        ({"revision": "main"}, "has a revision"),
        ({"tensor_parallel": 2}, "has a tensor_parallel"),
    ],
)
def test_what_only_checkpoints_have_is_refused(
    backend: str, given: dict[str, object], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        ModelSpec.model_validate({"name": "a", "backend": backend, "path": "m", **given})
    ModelSpec(name="a", backend=backend, path="m", revision=None, tensor_parallel=1)


@pytest.mark.parametrize("skill", [1.5, -0.1, {"ocr": 2}])
def test_a_skill_is_a_probability(skill: object) -> None:
    options = {"base_url": "builtin:scripted", "scripted": {"skill": skill}}
    with pytest.raises(ValidationError, match="skill"):
        ModelSpec(name="a", backend="openai", path="m", options=options)


def test_azure_needs_its_address() -> None:
    with pytest.raises(ValidationError, match="api_version is of Azure, which needs base_url"):
        ModelSpec(name="a", backend="openai", path="m", options={"api_version": "2025-01-01"})
