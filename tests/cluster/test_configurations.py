"""What is handed to ``ray up``, against Ray's own schema and checks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "cluster").glob("*.yaml"))
CLOUDS = [file for file in FILES if file.stem in ("aws", "gcp")]


def load(file: Path) -> Any:
    return yaml.safe_load(file.read_text())


def test_there_are_three() -> None:
    assert [file.stem for file in FILES] == ["aws", "gcp", "hosts"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_ray_takes_it(file: Path) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    whole = prepare_config(load(file))  # with the provider's defaults, as `ray up` does
    validate_config(whole)
    workers = [kind for kind in whole["available_node_types"] if kind != "head"]
    assert workers
    assert whole["max_workers"] >= 1


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_ray_refuses_a_key_that_it_does_not_know(file: Path) -> None:
    """So that the test above means something."""
    from jsonschema import ValidationError  # type: ignore[import-untyped]
    from ray.autoscaler._private.util import prepare_config, validate_config

    with pytest.raises(ValidationError, match="worker_types"):
        validate_config(prepare_config({**load(file), "worker_types": {}}))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_node_asks_for_a_token_and_the_head_has_no_cpu(file: Path) -> None:
    given = load(file)
    starts = [
        command
        for key in ("head_start_ray_commands", "worker_start_ray_commands")
        for command in given[key]
        if "ray start" in command
    ]
    assert len(starts) == 2
    for command in starts:
        assert "RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 ray start " in " ".join(
            command.split()
        )
    assert "--num-cpus=0" in starts[0]
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert any(path.endswith(".ray/auth_token") for path in given["file_mounts"])


@pytest.mark.parametrize("file", CLOUDS, ids=lambda file: file.stem)
def test_clouds_have_gpus_and_no_cpu_on_the_head(file: Path) -> None:
    kinds = load(file)["available_node_types"]
    assert kinds["head"]["resources"] == {"CPU": 0}
    assert all(kind["resources"]["GPU"] >= 1 for name, kind in kinds.items() if name != "head")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_secret_stands_in_it(file: Path) -> None:
    from lens_ray.job_secrets import secret_in

    text = file.read_text()
    assert secret_in(text) is None
    # Every variable of a key is a reference: to a command's output or, in a comment, to dots.
    for value in re.findall(r"AWS_[A-Z_]*KEY[A-Z_]*=(\S+)", text):
        assert value.startswith(('"$(', "...")), value


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_setup_commands_are_shell(file: Path) -> None:
    """`bash -n` reads them, and the pin of Ray that they compute is the one of constraints.txt."""
    import subprocess

    given = load(file)
    commands = [command for key in given if key.endswith("commands") for command in given[key]]
    for command in commands:
        subprocess.run(["bash", "-n", "-c", command], check=True)
    [install] = [command for command in commands if "constraints.txt" in command]
    found = re.search(r'"(\$\(grep .*?\))"', install)
    assert found is not None
    script = f'echo "{found[1]}"'.replace("~/lens-ray", str(ROOT))
    said = subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True)
    assert said.stdout == "ray[default]==2.60.0\n"
