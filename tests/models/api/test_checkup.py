"""What the doctor finds of a model behind a provider's interface."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from dataclasses import asdict

import pytest

from lens_ray.models import ModelSpec
from lens_ray.models.api.checkup import Checked, check_model
from lens_ray.testing.provider import Fault, ProviderServer, Script, ServerLimits

SECRET = "doctor-key-0123456789abcdefXYZ"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTOR_KEY", SECRET)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def model(url: str | None, path: str = "gpt-4.1", **options: object) -> ModelSpec:
    given = {"base_url": url, "api_key_env": "DOCTOR_KEY", "timeout_s": 5.0, **options}
    return ModelSpec(name="m", backend="openai", path=path, options=given)


def findings(spec: ModelSpec) -> dict[str, Checked]:
    found = asyncio.run(check_model(spec))
    assert SECRET not in json.dumps([asdict(one) for one in found])
    return {one.what: one for one in found}


def test_all_is_well() -> None:
    price = {"input": 2, "output": 8}
    with ProviderServer(Script(limits=ServerLimits(requests=500, tokens=30_000))) as server:
        found = findings(model(server.openai_url, price=price))
        counts = server.counts
    assert all(one.ok for one in found.values())
    assert found["key"].found.startswith("DOCTOR_KEY, fingerprint ")
    assert found["model"].found.startswith("gpt-4.1 answered in ")
    assert found["limits"].found == "500 requests and 30,000 tokens a minute"
    assert found["clock"].found == "as the server's"
    assert found["price"].found == "$2.00 in, $8.00 out a million tokens (the job)"
    assert "snapshot" not in found
    assert counts.calls == 1


def test_what_could_be_better() -> None:
    script = Script(
        limits=ServerLimits(requests=500), served=((1, "gpt-4.1-2025-04-14"),), clock_skew_s=3600
    )
    with ProviderServer(script) as server:
        found = findings(model(server.openai_url, path="gpt-4.1-x", requests_per_minute=900))
    assert not any(one.essential for one in found.values() if not one.ok)
    assert found["snapshot"].advice == "path: gpt-4.1-2025-04-14"
    assert found["limits"].advice == "options: {requests_per_minute: 500}"
    assert re.match(r"3,(599|600) s behind the server", found["clock"].found)
    assert found["price"].advice.startswith("options: {price: ")


@pytest.mark.parametrize(
    ("script", "kind", "advice"),
    [
        (Script(keys=frozenset({"x"})), "key_refused", "export DOCTOR_KEY=KEY, one that may use"),
        (Script(credit_usd=0.0), "credit_exhausted", "add credit at the provider"),
        (Script(models=frozenset({"x"})), "unknown_model", "path: ID, one that this key may use"),
        (Script(faults=(Fault(kind="rate_limit"),)), "rate_limit", "the same again in a minute"),
        (Script(faults=(Fault(kind="server_error"),)), "server_error", "the same again later"),
        (Script(faults=(Fault(kind="silence", seconds=1),)), "timeout", "a larger options: {time"),
    ],
)
def test_what_is_wrong(script: Script, kind: str, advice: str) -> None:
    with ProviderServer(script) as server:
        found = findings(model(server.openai_url, timeout_s=0.4))
    assert set(found) == {"key", "model"}
    assert found["model"].essential
    assert not found["model"].ok
    assert found["model"].found.startswith(f"{kind}: ")
    assert found["model"].advice.startswith(advice)


def test_nobody_is_there_and_a_proxy_stands_between(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        found = findings(model(url))
        assert found["model"].found.startswith("connection: ")
        monkeypatch.setenv("http_proxy", f"http://user:{SECRET}@127.0.0.1:9")
        found = findings(model(url))
    assert found["proxy"].found == f"http://127.0.0.1:9 for {url[7:-3]}"
    assert found["model"].advice.startswith("base_url: of a server that runs, or HTTPS_PROXY")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ProviderServer(Script()) as server:
        found = findings(model(server.openai_url))
    assert found["proxy"].found.startswith("none for 127.0.0.1:")
    assert found["model"].ok


def test_no_key_and_parameters_that_it_does_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ModelSpec(name="m", backend="openai", path="o3", generation={"temperature": 0.5})
    found = findings(spec)
    assert list(found) == ["parameters"]
    assert "takes no temperature" in found["parameters"].found
    monkeypatch.delenv("DOCTOR_KEY")
    found = findings(model(None))
    assert list(found) == ["key"]
    assert found["key"].found.startswith("no key: set DOCTOR_KEY, or DOCTOR_KEY_FILE")


def test_a_scripted_model_needs_nothing() -> None:
    found = findings(ModelSpec(name="m", backend="gemini", path="gemini-2.5-flash",
                               options={"base_url": "builtin:scripted"}))  # fmt: skip
    assert found["model"].ok
    assert "proxy" not in found


def test_a_server_that_no_key_is_named_for() -> None:
    with ProviderServer(Script(keys=frozenset({"x"}))) as server:
        options = {"base_url": server.openai_url}
        found = findings(ModelSpec(name="m", backend="openai", path="gpt-4.1", options=options))
    assert found["key"].found.startswith("none is sent: the job names no api_key_env")
    assert found["model"].advice == "options: {api_key_env: VARIABLE}, and export VARIABLE=KEY"
