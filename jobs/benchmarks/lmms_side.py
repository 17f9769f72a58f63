"""The other side of `bench_sweep_lmms.py`: lmms-eval's command line, timed, and what it answered.

lmms-eval ends with 0 after an exception, so that a run counts only when every answer is there.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from jobs.benchmarks.lmms_task import TASK


@dataclass(frozen=True, slots=True)
class Setting:
    """What of lmms-eval is tried for its best."""

    threads: int
    batch: int


@dataclass(frozen=True, slots=True)
class Lmms:
    """lmms-eval in its environment.

    Attributes:
        python: Of its environment.
        task: Folder of the task.
        scratch: Folder for results and caches.
        options: Engine arguments, as lens-ray gives them to vLLM.
        samples: Of the task.
        limit: Tokens of one answer.
    """

    python: str
    task: Path
    scratch: Path
    options: Mapping[str, object]
    samples: int
    limit: int

    def model_args(self, checkpoint: str) -> str:
        """The value of ``--model_args``."""
        # Without its own max_new_tokens the backend takes 1024 over a task's smaller limit.
        given = {"model": checkpoint, **self.options, "max_new_tokens": self.limit}
        return ",".join(f"{name}={value}" for name, value in given.items())

    def environment(self, threads: int) -> dict[str, str]:
        """Of the process: what lens-ray sets for its engines, and no network."""
        return {
            **os.environ,
            "OMP_NUM_THREADS": str(threads),
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "VLLM_LOGGING_LEVEL": "ERROR",
            "VLLM_NO_USAGE_STATS": "1",
            "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_OFFLINE": "1",
            # The data set is converted once, before what counts.
            "HF_HOME": str(self.scratch / "hf"),
        }

    def one(self, checkpoint: str, name: str, setting: Setting) -> tuple[float, list[str]]:
        """One checkpoint in a process of its own: its seconds and its texts."""
        out = self.scratch / name
        command = ["--model", "vllm", "--model_args", self.model_args(checkpoint)]
        command += ["--tasks", TASK, "--include_path", str(self.task), "--log_samples"]
        command += ["--batch_size", str(setting.batch), "--output_path", str(out)]
        seconds = self._run(command, setting.threads, name)
        return seconds, self._texts(out, name)

    def together(
        self, checkpoints: Sequence[str], setting: Setting
    ) -> tuple[float, list[list[str]]]:
        """All checkpoints in one process, by ``--config`` with a list: an engine start each."""
        outs = [self.scratch / f"together-{number}" for number in range(len(checkpoints))]
        common = {"model": "vllm", "tasks": TASK, "include_path": str(self.task)}
        common |= {"batch_size": str(setting.batch)}
        entries = [
            {**common, "log_samples": True, "output_path": str(out)}
            | {"model_args": self.model_args(checkpoint)}
            for checkpoint, out in zip(checkpoints, outs, strict=True)
        ]
        config = self.scratch / "together.yaml"
        config.write_text(yaml.safe_dump(entries), encoding="utf-8")
        seconds = self._run(["--config", str(config)], setting.threads, "together")
        return seconds, [self._texts(out, "together") for out in outs]

    def _run(self, command: Sequence[str], threads: int, name: str) -> float:
        began = time.perf_counter()
        with self._log(name).open("wb") as log:
            subprocess.run(
                [self.python, "-m", "lmms_eval", *command],
                stdout=log,
                stderr=subprocess.STDOUT,
                check=True,
                cwd=self.scratch,
                env=self.environment(threads),
            )
        return time.perf_counter() - began

    def _log(self, name: str) -> Path:
        return self.scratch / f"{name}.log"

    def _texts(self, out: Path, name: str) -> list[str]:
        files = list(out.glob(f"*/*_samples_{TASK}.jsonl"))
        lines = files[0].read_text(encoding="utf-8").splitlines() if len(files) == 1 else []
        if len(lines) != self.samples:
            tail = self._log(name).read_text(encoding="utf-8", errors="replace")[-3000:]
            raise SystemExit(f"lmms-eval left {len(lines)} of {self.samples} answers:\n{tail}")
        # It writes the text before its filters only where they changed it.
        found = {
            one["doc_id"]: str(one.get("resps", one["filtered_resps"]))
            for one in map(json.loads, lines)
        }
        return [found[number] for number in range(self.samples)]
