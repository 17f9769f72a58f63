"""`LensCallback` in a real ``Trainer``, and the same steps under a real ``Accelerator``."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from lens_ray.models.checkpoint import inspect_checkpoint
from lens_ray.online.callback import LensCallback, announce_saved
from lens_ray.online.marker import MARKER, read_marker
from lens_ray.online.stop_file import StopSignal, ask_to_stop
from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint

Make = Callable[..., Trainer]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def make_trainer(tiny: str, tmp_path: Path) -> Make:
    def make(*callbacks: TrainerCallback, steps: int = 4, **more: Any) -> Trainer:
        ids = torch.arange(3, 11)
        arguments = TrainingArguments(
            output_dir=str(tmp_path / "out"), max_steps=steps, save_steps=2, logging_steps=1,
            per_device_train_batch_size=2, report_to=[], use_cpu=True, disable_tqdm=True,
            include_num_input_tokens_seen="all", **more,
        )  # fmt: skip
        return Trainer(
            AutoModelForImageTextToText.from_pretrained(tiny, dtype=torch.float32),
            arguments,
            train_dataset=[{"input_ids": ids, "labels": ids}] * 8,
            processing_class=AutoProcessor.from_pretrained(tiny),
            callbacks=list(callbacks),
        )

    return make


def test_each_checkpoint_of_a_trainer_is_announced(make_trainer: Make, tmp_path: Path) -> None:
    trainer = make_trainer(LensCallback())
    trainer.train()
    for step in (2, 4):
        folder = tmp_path / "out" / f"checkpoint-{step}"
        found = read_marker((folder / MARKER).read_bytes(), str(folder))
        assert found.step == step
        # All of the model that lies there was there when it was announced, and has not grown since.
        sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
        others = {name for name in sizes if name.endswith((".pt", ".pth"))} | {MARKER}
        assert {"optimizer.pt", "scheduler.pt", "rng_state.pth"} <= others
        assert found.files == {name: size for name, size in sizes.items() if name not in others}
        assert {"model.safetensors", "tokenizer.json", "trainer_state.json"} < found.files.keys()
        logged = next(line for line in trainer.state.log_history if line.get("step") == step)
        assert found.metrics["loss"] == pytest.approx(logged["loss"])
        assert found.metrics["lr"] == pytest.approx(logged["learning_rate"])
        assert found.metrics["tokens"] == step * 2 * 8
        assert 0 < found.metrics["seconds_per_step"] < 60
        inspect_checkpoint(str(folder))


class StopAt(TrainerCallback):
    """Asks the run to stop after a step, and waits for the look-out to have seen it."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            ask_to_stop(args.output_dir, "all abilities have converged")
            time.sleep(0.3)


def test_the_stop_file_ends_a_trainer_with_a_last_checkpoint(
    make_trainer: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = make_trainer(StopAt(2), LensCallback(poll_s=0.02), steps=50)
    with caplog.at_level(logging.WARNING):
        trainer.train()
    assert trainer.state.global_step == 3
    assert "training ends at step 3: all abilities have converged" in caplog.text
    assert (tmp_path / "out" / "checkpoint-3" / MARKER).is_file()

    # Who heeds no stop file goes on.
    trainer = make_trainer(LensCallback(stop_file=None))
    trainer.train()
    assert trainer.state.global_step == 4


def test_a_trainer_goes_on_where_announcing_fails(
    make_trainer: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING)  # other tests of the process may have raised it

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lens_ray.online.marker.Marker.to_bytes", fail)
    trainer = make_trainer(LensCallback())
    trainer.train()
    assert trainer.state.global_step == 4
    told = [r.getMessage() for r in caplog.records if "not announced" in r.getMessage()]
    assert len(told) == 2
    assert all("No space left on device" in line for line in told)


def test_a_second_process_announces_nothing(make_trainer: Make, tmp_path: Path) -> None:
    trainer = make_trainer()
    callback = LensCallback(stop_file=None)
    trainer.state.is_world_process_zero = False
    (tmp_path / "out" / "checkpoint-0").mkdir(parents=True)
    callback.on_save(trainer.args, trainer.state, trainer.control)
    assert not list((tmp_path / "out" / "checkpoint-0").iterdir())
    trainer.state.is_world_process_zero = True
    callback.on_save(trainer.args, trainer.state, trainer.control)
    assert (tmp_path / "out" / "checkpoint-0" / MARKER).is_file()


def test_accelerate_announces_and_stops(tiny: str, tmp_path: Path) -> None:
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    model = AutoModelForImageTextToText.from_pretrained(tiny, dtype=torch.float32)
    model, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), 1e-3))
    ids = torch.arange(3, 11)[None]
    stop = StopSignal(tmp_path, poll_s=0.01)
    step = 0
    while stop.asked() is None:
        loss = model(input_ids=ids, labels=ids).loss
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        if step == 2:
            folder = tmp_path / f"step-{step}"
            accelerator.unwrap_model(model).save_pretrained(
                str(folder), is_main_process=accelerator.is_main_process,
                save_function=accelerator.save,
            )  # fmt: skip
            announce_saved(accelerator, folder, step, {"loss": loss.item()})
            ask_to_stop(tmp_path, "enough")
    stop.close()
    found = read_marker((tmp_path / "step-2" / MARKER).read_bytes(), "-")
    assert found.step == 2
    assert found.metrics["loss"] == pytest.approx(loss.item(), rel=0.5)
    assert "model.safetensors" in found.files
