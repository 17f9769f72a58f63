"""A sample as it is put to one model, and what its row records of that: `Asking`."""

from __future__ import annotations

from dataclasses import asdict

from lens_ray.engine.plan import ModelPlan, generation_of
from lens_ray.models.protocol import Completion, Request
from lens_ray.scoring import RowContext, make_row, make_unanswered
from lens_ray.scoring.mark import INFRA_ERROR
from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import Suite
from lens_ray.suites.templates import prompt_hash, render


class Asking:
    """Makes the requests and the rows of one run."""

    def __init__(self, model: ModelPlan, suite: Suite) -> None:
        """Nothing is read yet.

        Args:
            model: Who is asked.
            suite: Its samples are found by id, its images are read on demand.
        """
        self.model = model
        self._suite = suite

    def request(self, sample_id: str) -> Request:
        """The question, its images read.

        Raises:
            SuiteError: An image is missing or damaged.
        """
        sample = self._suite.by_id[sample_id]
        return Request(
            request_id=sample_id,
            text=render(sample, self.model.spec.template),
            images=tuple(self._suite.image_bytes(image) for image in sample.images),
            generation=generation_of(self.model.spec, sample),
        )

    def row(
        self, completion: Completion, *, attempt: int, replica: str, version: str
    ) -> dict[str, object]:
        """The row of an answer, or of an error."""
        sample = self._suite.by_id[completion.request_id]
        return make_row(sample, completion, self._context(sample, attempt, replica, version))

    def unanswered(self, sample_id: str, cause: str, *, attempt: int) -> dict[str, object]:
        """The row of a sample that no engine survived."""
        sample = self._suite.by_id[sample_id]
        return make_unanswered(sample, INFRA_ERROR, cause, self._context(sample, attempt, "", ""))

    def _context(self, sample: Sample, attempt: int, replica: str, version: str) -> RowContext:
        model = self.model
        generation = asdict(generation_of(model.spec, sample))
        text = render(sample, model.spec.template)
        return RowContext(
            run_id=model.run_id,
            model=model.stored_name,
            model_key=model.identity.model_key,
            weights_digest=model.identity.weights_digest,
            suite_digest=self._suite.digest,
            template=model.spec.template,
            step=model.spec.step,
            backend=model.spec.backend,
            backend_version=version,
            replica=replica,
            attempt=attempt,
            prompt_hash=prompt_hash(text, sample.images, generation),
        )
