"""`LensTrainCallback`: what it announces, by itself and under a real Ray Train."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pyarrow.fs import FSSpecHandler, LocalFileSystem, PyFileSystem
from ray.train import Checkpoint

from lens_ray.engine.train_hook import LensTrainCallback
from lens_ray.online.announce import flush
from lens_ray.online.marker import MARKER, Marker, read_marker
from lens_ray.store.objects import open_objects


def marker_in(folder: Path) -> Marker:
    return read_marker((folder / MARKER).read_bytes(), str(folder))


def test_a_reported_checkpoint_is_announced_with_its_numbers(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    said = {
        "step": 20, "loss": 0.5, "learning_rate": 0.1, "num_input_tokens_seen": 640,
        "who": "me", "done": True,
    }  # fmt: skip
    hook = LensTrainCallback()
    hook.after_report(None, [said, {"step": 99}], Checkpoint.from_directory(tmp_path))
    found = marker_in(tmp_path)
    assert found.step == 20
    assert found.metrics == {"step": 20, "loss": 0.5, "lr": 0.1, "tokens": 640}
    assert found.files == {"config.json": 2}


def test_the_model_of_transformers_hook_lies_one_level_deeper(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "config.json").write_text("{}")
    hook = LensTrainCallback("global_step")
    hook.after_report(None, [{"step": 1, "global_step": 7}], Checkpoint.from_directory(tmp_path))
    assert marker_in(tmp_path / "checkpoint").step == 7
    assert not (tmp_path / MARKER).exists()


@pytest.mark.parametrize(
    ("said", "told"),
    [({"loss": 1.0}, "no worker reported step or global_step"), ({"step": "x"}, "invalid literal")],
)
def test_a_report_without_a_step_is_a_warning(
    said: dict[str, object], told: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        LensTrainCallback().after_report(None, [said], Checkpoint.from_directory(tmp_path))
        LensTrainCallback().after_report(None, [said], None)
    assert len(caplog.records) == 1
    assert told in caplog.text
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_that_is_away_or_elsewhere_ends_no_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)  # other tests of the process may have raised it
    from fsspec.implementations.memory import MemoryFileSystem

    memory = MemoryFileSystem()
    memory.makedirs("/run/step-1", exist_ok=True)
    elsewhere = Checkpoint("/run/step-1", PyFileSystem(FSSpecHandler(memory)))
    away = Checkpoint(str(tmp_path / "missing"), LocalFileSystem())
    for checkpoint in (elsewhere, away):
        LensTrainCallback().after_report(None, [{"step": 1}], checkpoint)
    assert "a file system py::fsspec+memory; use a folder or s3://" in caplog.text
    assert len(caplog.records) == 2


@pytest.mark.parametrize("handled_by", ["pyarrow", "fsspec"])
def test_a_bucket_is_announced_to(bucket_url: str, moto: str, handled_by: str) -> None:
    import s3fs
    from pyarrow.fs import S3FileSystem

    open_objects(f"{bucket_url}/run/c1").create("config.json", b"{}")
    place = f"{bucket_url.removeprefix('s3://')}/run/c1"
    files = (
        S3FileSystem(
            access_key="k", secret_key="s", region="us-east-1",
            endpoint_override=moto.removeprefix("http://"), scheme="http",
        )
        if handled_by == "pyarrow"
        else PyFileSystem(FSSpecHandler(s3fs.S3FileSystem(endpoint_url=moto)))
    )  # fmt: skip
    LensTrainCallback().after_report(None, [{"step": 3}], Checkpoint(place, files))
    assert flush()
    data = open_objects(f"{bucket_url}/run/c1").get(MARKER)
    assert data is not None
    assert read_marker(data, "-").files == {"config.json": 2}


TRAINING = """
import sys, tempfile
from pathlib import Path
import ray, ray.train
from ray.train import Checkpoint, RunConfig, ScalingConfig
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
from lens_ray.engine.train_hook import LensTrainCallback

def train(config):
    from lens_ray.online.stop_file import StopSignal, ask_to_stop
    import time
    stop = StopSignal(config["run"], poll_s=0.01)
    for step in range(1, 6):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "model.safetensors").write_bytes(b"x" * step)
            checkpoint = Checkpoint.from_directory(folder)
            ray.train.report({"step": step, "loss": 1 / step}, checkpoint=checkpoint)
        if step == 3:
            ask_to_stop(config["run"], "enough")
            time.sleep(0.3)
        if stop.asked():
            return

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
storage = sys.argv[1]
DataParallelTrainer(
    train, train_loop_config={"run": storage + "/tiny"},
    scaling_config=ScalingConfig(num_workers=1),
    run_config=RunConfig(name="tiny", storage_path=storage, callbacks=[LensTrainCallback()]),
).fit()
"""


@pytest.mark.slow
def test_a_real_ray_train_run_is_announced_and_stopped(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TRAINING, str(tmp_path)],
        capture_output=True, text=True, timeout=170, check=False,
        # Each report waits for the controller's next look, 2 s apart.
        env={**os.environ, "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {
        marker_in(path.parent).step: marker_in(path.parent)
        for path in (tmp_path / "tiny").glob(f"*/{MARKER}")
    }
    assert sorted(found) == [1, 2, 3], json.dumps(done.stderr)
    assert found[2].files == {"model.safetensors": 2}
    assert found[2].metrics["loss"] == 0.5
