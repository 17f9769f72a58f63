"""A sample as it is put to one model, and what its row records of that: `Asking`."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import asdict

from lens_ray.engine.plan import ModelPlan, generation_of
from lens_ray.errors import SuiteError
from lens_ray.models import backend_entry
from lens_ray.models.protocol import Completion, Generation, Request
from lens_ray.scoring import RowContext, make_row, make_unanswered
from lens_ray.scoring.mark import INFRA_ERROR
from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import Suite
from lens_ray.suites.templates import generation_facts, hash_with, render

#: Encoded images that a replica keeps.
_KEPT_BYTES = 256 * 2**20
#: Longest that a replica reads images ahead while it starts.
_WARM_S = 3.0


class Images:
    """The images of a suite, those read last kept in memory for the next model of the replica.

    Each look at the suite's own costs at least a hash of the bytes, and for images that are asked
    about in another order than the file's, the reading of a whole row group.
    """

    def __init__(self, suite: Suite, limit: int = _KEPT_BYTES) -> None:
        """Nothing is read yet.

        Args:
            suite: Where they are.
            limit: Bytes, encoded, that are kept.
        """
        self._suite = suite
        self._limit = limit
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    def warm(self, images: AbstractSet[str]) -> None:
        """Read images in the order of the suite's file, as far as a few seconds and memory go.

        The order of the work jumps about in the file, which costs several times as much.
        """
        until = time.monotonic() + _WARM_S
        for image in self._suite.image_hashes():
            if image in images:
                if time.monotonic() > until or self._size > self._limit / 2:
                    return
                with suppress(SuiteError):  # said when a sample needs it
                    self.read(image)

    def read(self, image: str) -> bytes:
        """The encoded bytes of an image.

        Raises:
            SuiteError: It is missing or damaged.
        """
        if image in self._kept:
            self._kept.move_to_end(image)
            return self._kept[image]
        data = self._suite.image_bytes(image)
        self._kept[image] = data
        self._size += len(data)
        while self._size > self._limit and len(self._kept) > 1:
            self._size -= len(self._kept.popitem(last=False)[1])
        return data


class Asking:
    """Makes the requests and the rows of one run."""

    def __init__(self, model: ModelPlan, suite: Suite, images: Images | None = None) -> None:
        """Nothing is read yet.

        Args:
            model: Who is asked.
            suite: Its samples are found by id.
            images: Of the suite; only who makes requests needs them.
        """
        self.model = model
        # Only paid answers are looked for by it.
        self._hashed = backend_entry(model.spec.backend).attached
        self._suite = suite
        self._images = images or Images(suite)
        self._generations: dict[int, tuple[Generation, str]] = {}

    def request(self, sample_id: str) -> Request:
        """The question, its images read.

        Raises:
            SuiteError: An image is missing or damaged.
        """
        sample = self._suite.by_id[sample_id]
        text = render(sample, self.model.spec.template)
        generation, facts = self._generation(sample)
        return Request(
            request_id=sample_id,
            text=text,
            images=tuple(self._images.read(image) for image in sample.images),
            generation=generation,
            prompt_hash=hash_with(text, sample.images, facts) if self._hashed else "",
        )

    def row(
        self, completion: Completion, *, attempt: int, replica: str, version: str
    ) -> dict[str, object]:
        """The row of an answer, or of an error."""
        sample = self._suite.by_id[completion.request_id]
        return make_row(sample, completion, self._context(sample, attempt, replica, version))

    def unanswered(
        self, sample_id: str, cause: str, *, attempt: int, status: str = INFRA_ERROR
    ) -> dict[str, object]:
        """The row of a sample that no engine survived, or that nobody was asked."""
        sample = self._suite.by_id[sample_id]
        return make_unanswered(sample, status, cause, self._context(sample, attempt, "", ""))

    def _context(self, sample: Sample, attempt: int, replica: str, version: str) -> RowContext:
        model = self.model
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
            prompt_hash=hash_with(text, sample.images, self._generation(sample)[1]),
        )

    def _generation(self, sample: Sample) -> tuple[Generation, str]:
        """The parameters, and what their hash is made of; only the limit is a sample's own."""
        limit = sample.max_new_tokens
        if limit not in self._generations:
            generation = generation_of(self.model.spec, sample)
            self._generations[limit] = generation, generation_facts(asdict(generation))
        return self._generations[limit]
