"""An `Evaluator` without a model: `FakeEvaluator`; and what it asks: `write_checkpoint`.

Its rows are real, in a real store: of each checkpoint's own run, resumed where they are there, one
append a batch. Only the answers are made up: a sample of difficulty u is answered right by a
checkpoint whose accuracy is above u, so that checkpoints of one accuracy answer alike.
"""

from __future__ import annotations

import hashlib
import json
import struct
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from lens_ray.errors import CheckpointError
from lens_ray.models.identity import Identity, identify
from lens_ray.models.protocol import Completion
from lens_ray.online.checkpoint import Depth
from lens_ray.online.evaluator import Answered, Question
from lens_ray.scoring.row import RowContext, make_row
from lens_ray.store import RunHeader, RunLog, Store
from lens_ray.suites.mini.item import LETTERS
from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import Suite

#: Right answers of an ability at a step, as a share.
Accuracy = Callable[[str, int], float]


def write_checkpoint(
    folder: str | Path, seed: int = 0, *, values: Sequence[float] = (), shell: str = "a"
) -> str:
    """Write a whole checkpoint of a few hundred bytes that no backend could load.

    Args:
        folder: Made where missing.
        seed: Of the weights.
        values: The weights themselves, in the place of those of the seed.
        shell: Of another text is another architecture.

    Returns:
        The folder.
    """
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    (root / "config.json").write_text(json.dumps({"model_type": "pretended", "kind": shell}))
    (root / "tokenizer.json").write_text("{}")
    (root / "processor_config.json").write_text(json.dumps({"image_processor": {}}))
    (root / "chat_template.jinja").write_text("{{ messages }}")
    numbers = tuple(values) or tuple(float(seed + one) for one in range(16))
    data = struct.pack(f"<{len(numbers)}f", *numbers)
    tensor = {"dtype": "F32", "shape": [len(numbers)], "data_offsets": [0, len(data)]}
    header = json.dumps({"model.weight": tensor}).encode()
    (root / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)
    return str(root)


class FakeEvaluator:
    """Answers at once; see the module.

    Attributes:
        asked: Questions of which at least one sample was asked, in their order.
        idles: How often there was nothing to ask.
    """

    def __init__(
        self,
        store: Store,
        suite: Suite,
        accuracy: Accuracy,
        *,
        batch: int = 64,
        pause_s: float = 0.0,
        log: Path | None = None,
    ) -> None:
        """Nothing is written yet.

        Args:
            store: Where rows go.
            suite: What is asked.
            accuracy: Of the pretended model.
            batch: Samples of one append.
            pause_s: Seconds that a batch takes.
            log: A file that gets one line a batch before it is asked: model, step, number.
        """
        self.asked: list[tuple[str, Depth]] = []
        self.idles = 0
        self._store = store
        self._suite = suite
        self._accuracy = accuracy
        self._batch = batch
        self._pause_s = pause_s
        self._log = log

    def evaluate(self, questions: Sequence[Question]) -> tuple[Answered, ...]:
        """See `lens_ray.online.evaluator.Evaluator`."""
        self._store.put_suite(self._suite.info)
        return tuple(self._answer(question) for question in questions)

    def idle(self) -> None:
        """See `lens_ray.online.evaluator.Evaluator`."""
        self.idles += 1

    def close(self) -> None:
        """See `lens_ray.online.evaluator.Evaluator`."""

    def _answer(self, question: Question) -> Answered:
        began = time.monotonic()
        try:
            identity = identify(question.spec)
        except CheckpointError as error:
            return Answered(question, None, "failed", str(error))
        log = self._store.open_run(self._header(question, identity))
        by_depth = None if question.depth == "full" else ("anchor",)
        samples = self._suite.select(splits=question.splits or by_depth)
        done = log.refresh().done
        todo = [sample for sample in samples if sample.sample_id not in done]
        if todo:
            self.asked.append((question.checkpoint.name, question.depth))
        for start in range(0, len(todo), self._batch):
            batch = todo[start : start + self._batch]
            if self._log is not None:
                with self._log.open("a") as file:
                    ids = ",".join(sample.sample_id for sample in batch)
                    file.write(f"{question.checkpoint.name} {question.depth} {ids}\n")
            time.sleep(self._pause_s)
            log.append([self._row(log, sample, question) for sample in batch])
        return Answered(
            question,
            log.header.run_id,
            "complete",
            asked=len(todo),
            resumed=len(samples) - len(todo),
            seconds=time.monotonic() - began,
            swapped=True if todo else None,
        )

    def _header(self, question: Question, identity: Identity) -> RunHeader:
        spec, suite = question.spec, self._suite
        facts = f"{identity.model_key} {suite.digest} {spec.template}"
        return RunHeader(
            run_id=hashlib.sha256(facts.encode()).hexdigest()[:16],
            model=spec.name,
            model_key=identity.model_key,
            weights_digest=identity.weights_digest,
            suite=suite.name,
            suite_digest=suite.digest,
            template=spec.template,
            backend=spec.backend,
            backend_path=spec.path,
            access=spec.access,
            step=spec.step,
            generation=spec.generation,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            job="fake",
        )

    def _row(self, log: RunLog, sample: Sample, question: Question) -> dict[str, object]:
        digest = hashlib.sha256(sample.sample_id.encode()).digest()
        difficulty = int.from_bytes(digest[:8], "little") / 2**64
        right = difficulty < self._accuracy(sample.ability, question.checkpoint.step)
        header = log.header
        context = RowContext(
            run_id=header.run_id,
            model=header.model,
            model_key=header.model_key,
            weights_digest=header.weights_digest,
            suite_digest=header.suite_digest,
            template=header.template,
            step=header.step,
            backend=header.backend,
            backend_version="0",
            replica="fake",
            attempt=1,
            prompt_hash="0",
        )
        text = sample.answers[0] if right else _wrong(sample)
        return make_row(sample, Completion(sample.sample_id, text, "stop"), context)


def _wrong(sample: Sample) -> str:
    """An answer that can be read and is not right."""
    right = sample.answers[0].strip().lower()
    if sample.format == "true_false":
        return "no" if right in ("yes", "true", "a") else "yes"
    if sample.choices:
        letters = [LETTERS[number] for number in range(len(sample.choices))]
        return next(letter for letter in letters if letter.lower() != right)
    return "0" if right != "0" else "1"
