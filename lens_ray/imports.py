"""Results of other tools, people and machines become a run like any other: `import_results`.

The answers are read (`lens_ray.store.imports`), matched to samples, marked by lens-ray's own
scoring, and committed by the store's own protocol. Everything is read and marked before the first
object is written, so a bad file leaves nothing behind. What a file does not say is null in the
rows. The run is named after the bytes of the files, so importing them again adds nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from lens_ray.engine.finish import commit_run, counted
from lens_ray.engine.hold import hold_runs
from lens_ray.errors import Incomplete, UserError
from lens_ray.models.protocol import Completion
from lens_ray.scoring.mark import INFRA_ERROR
from lens_ray.scoring.row import RowContext, make_row, make_unanswered
from lens_ray.store import RunHeader, RunLog, Store
from lens_ray.store.imports import inspect_log, lmms_eval, plain_table, vlmevalkit
from lens_ray.store.imports.answers import Answer, AnswerFile, Evidence
from lens_ray.store.imports.match import Matcher
from lens_ray.suites.controls import BASE
from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import Suite, load_suite

Tool = Literal["lmms-eval", "vlmevalkit", "inspect", "csv"]
Access = Literal["open", "closed"]
#: What stands for the prompt template, which the files do not name.
TEMPLATE = "imported"
#: The run's lease outlives one append and one commit.
_LEASE_S = 25.0
#: What a row lacks because no file says it (`RowContext` wants texts).
_UNSAID = ("weights_digest", "prompt_hash", "backend_version", "replica", "attempt",
           "weight_version", "created_at")  # fmt: skip
#: Names of a source in other tools' task and file names, where they are not ours.
_ALIASES: Mapping[str, tuple[str, ...]] = {
    "seed_bench": ("seedbench",),
    "synthdog": ("synthdogen",),
    "mirb": ("mirbhf",),
}

#: Sources that a suite may lack while a folder of results has them.
_PUBLIC = (
    "mme", "seed_bench", "mirb", "mmstar", "muirbench", "ocrbench", "synthdog", "mmbench",
    "chartqa", "ai2d", "conbench",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ImportReport:
    """How an import came out.

    Attributes:
        run_id: Of the run.
        model: Its name.
        suite: Name of the suite.
        store: URL of the store.
        expected: Samples that the run is to answer.
        answered: Of those, how many the files answer.
        new: Rows that were stored now.
        failed: Samples whose answer the files say failed, by status.
        missing: Samples that the files say nothing of.
        first_missing: The id of one of them.
        other: Rows of questions that the suite does not ask, or that could not be told apart.
        repeated: Rows that say again what another says.
    """

    run_id: str
    model: str
    suite: str
    store: str
    expected: int
    answered: int
    new: int
    failed: Mapping[str, int]
    missing: int
    first_missing: str | None
    other: int
    repeated: int

    @property
    def exit_code(self) -> int:
        """0 where every expected sample has an answer, else 6."""
        return 0 if self.answered == self.expected else Incomplete.exit_code


@dataclass(slots=True)
class _Found:
    """The answers of the files by sample, and what else was in them."""

    answers: dict[str, Answer]
    sources: set[str]
    other: int = 0
    repeated: int = 0
    first_other: Answer | None = None


def import_results(
    tool: Tool,
    path: str | Path,
    *,
    suite: Suite | str,
    store: Store | str,
    model: str,
    source: str | None = None,
    partial_run: bool = False,
    access: Access = "open",
    id_column: str = plain_table.ID,
    answer_column: str = plain_table.ANSWER,
) -> ImportReport:
    """Import the answers of one model, person or machine.

    Args:
        tool: Whose format it is.
        path: A file, or a folder of one model's files.
        suite: What was asked.
        store: Where to put the run.
        model: What to call who answered.
        source: The source (`Sample.source`) that the file's rows are of, where its name does not
            say it.
        partial_run: Whether samples without an answer are left out on purpose; without it they
            become ``infra_error`` rows.
        access: As of a model in a job.
        id_column: Of ``csv``.
        answer_column: Of ``csv``.

    Raises:
        UserError: A file, the suite or an option is at fault; nothing was written.
        StoreUnavailable: The store is out of reach.
        RunBusy: Somebody imports the same files at this moment.
    """
    _check_model(model)
    suite = suite if isinstance(suite, Suite) else load_suite(suite)
    files, read = _reader(tool, Path(path), id_column, answer_column)
    if tool == "csv":
        found = _by_id(files, read, suite)
        expected = list(suite.samples)
    else:
        _check_base(suite, tool)
        found = _by_evidence(files, read, suite, source)
        expected = [sample for sample in suite.samples if sample.source in found.sources]
    if not found.answers:
        raise _nothing(found, suite, path)
    if partial_run:
        expected = [sample for sample in expected if sample.sample_id in found.answers]
    digests = sorted(_sha256(file.path) for file in files)
    columns = [id_column, answer_column] if tool == "csv" else []
    key = _digest(["import", tool, model, digests, columns, source, partial_run])
    header = _header(key, tool, Path(path).name, suite, model, access)
    rows = list(_rows(header, expected, found.answers, Path(path).name))
    facts = _facts(files, digests, found)
    place = store if isinstance(store, Store) else Store(store, create=True)
    new = _stored(place, header, suite, rows, facts)
    return _report(header, place, expected, rows, found, new)


def _facts(files: Sequence[AnswerFile], digests: Sequence[str], found: _Found) -> dict[str, object]:
    """For the run's commit."""
    return {
        "imported_files": [file.path.name for file in files],
        "imported_sha256": list(digests),
        "rows_of_other_questions": found.other,
        "rows_said_again": found.repeated,
    }


def _header(key: str, tool: Tool, name: str, suite: Suite, model: str, access: Access) -> RunHeader:
    return RunHeader(
        run_id=_digest([key, suite.digest, [TEMPLATE, 1], []])[:16],
        model=model,
        model_key=key,
        weights_digest="",
        suite=suite.name,
        suite_digest=suite.digest,
        template=TEMPLATE,
        backend=f"import:{tool}",
        backend_path=name,
        access=access,
        step=None,
        generation={},
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        job="import",
    )


def _reader(
    tool: Tool, path: Path, id_column: str, answer_column: str
) -> tuple[list[AnswerFile], Callable[[AnswerFile], Iterator[Answer]]]:
    if tool not in get_args(Tool):
        raise UserError(f"import {tool!r}: the formats are {', '.join(get_args(Tool))}")
    if tool == "csv":
        read = partial(plain_table.read, id_column=id_column, answer_column=answer_column)
        return plain_table.files_of(path), read
    module = {"lmms-eval": lmms_eval, "vlmevalkit": vlmevalkit, "inspect": inspect_log}[tool]
    return module.files_of(path), module.read


def _check_model(name: str) -> None:
    from lens_ray.models.spec import NAME_PATTERN

    if not re.fullmatch(NAME_PATTERN, name):
        raise UserError(
            f"model {name!r}: begin with a letter or digit and use letters, digits and . _ @ + - "
            "only, 128 at most"
        )


def _check_base(suite: Suite, tool: Tool) -> None:
    """A control asks other things under the same native ids."""
    for sample in suite.samples:
        if BASE in sample.meta:
            raise UserError(
                f"suite {suite.name} is a control (sample {sample.sample_id}): {tool} did not ask "
                "its questions; name the suite it was made of, or import csv by sample_id"
            )


def _by_id(
    files: Sequence[AnswerFile], read: Callable[[AnswerFile], Iterator[Answer]], suite: Suite
) -> _Found:
    found = _Found({}, set())
    for answer in (one for file in files for one in read(file)):
        sample = suite.by_id.get(answer.says.sample_id or "")
        if sample is None:
            near = get_close_matches(str(answer.says.sample_id), suite.by_id, 1, 0.6)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise answer.place.fault(
                f"suite {suite.name} has no sample {str(answer.says.sample_id)[:80]!r}{hint}",
                plain_table.ID,
            )
        _take(found, sample, answer)
    return found


def _by_evidence(
    files: Sequence[AnswerFile],
    read: Callable[[AnswerFile], Iterator[Answer]],
    suite: Suite,
    named: str | None,
) -> _Found:
    found = _Found({}, set())
    by_source: dict[str, list[Sample]] = {}
    for sample in suite.samples:
        by_source.setdefault(sample.source, []).append(sample)
    matchers: dict[str, Matcher] = {}
    by_text: dict[str, dict[Evidence, list[Answer]]] = {}
    for file in files:
        source = _source_of(file, suite, by_source, named)
        if source is None:
            continue
        matcher = matchers.setdefault(source, Matcher(by_source[source]))
        for answer in read(file):
            match = matcher.find(answer.says)
            if match is None:
                found.other += 1
                found.first_other = found.first_other or answer
            elif match[1]:
                _take(found, match[0], answer)
            else:
                seen = by_text.setdefault(match[0].sample_id, {})
                seen.setdefault(answer.says, []).append(answer)
    for sample_id, seen in by_text.items():
        if sample_id in found.answers or len(seen) > 1:
            found.other += sum(map(len, seen.values()))
            continue
        for answer in next(iter(seen.values())):
            _take(found, suite.by_id[sample_id], answer)
    return found


def _take(found: _Found, sample: Sample, answer: Answer) -> None:
    """Keep an answer; the same one again is counted, another one is a mistake."""
    before = found.answers.get(sample.sample_id)
    if before is None:
        found.answers[sample.sample_id] = answer
        found.sources.add(sample.source)
    elif (before.text, before.status) == (answer.text, answer.status):
        found.repeated += 1
    elif before.text is None:
        # A failed request was asked again: the answer counts.
        found.answers[sample.sample_id] = answer
        found.repeated += 1
    elif answer.text is None:
        found.repeated += 1
    else:
        raise answer.place.fault(
            f"sample {sample.sample_id} is answered otherwise in {before.place.file.name}, "
            f"{before.place.line}; keep one of the two"
        )


def _source_of(
    file: AnswerFile, suite: Suite, sources: Iterable[str], named: str | None
) -> str | None:
    """The source that a file's rows are of; None where it is one that the suite has not.

    Raises:
        UserError: Its name does not say it.
    """
    known = sorted(sources)
    if named is not None:
        if named not in known:
            near = get_close_matches(named, known, 1, 0.0)[0]
            raise UserError(
                f"--source {named!r}: suite {suite.name} has none of this name; the nearest is "
                f"{near!r}"
            )
        return named
    parts = _squeezed(file.about).split()
    hits = [source for source in known if _is_named(source, parts)]
    if len(hits) == 1:
        return hits[0]
    if not hits and any(_is_named(name, parts) for name in _PUBLIC):
        return None
    if len(known) == 1:
        return known[0]
    raise UserError(
        f"{file.path}: its name does not say which source of suite {suite.name} it is of "
        f"({', '.join(hits or known)}); give it with --source"
    )


def _squeezed(text: str) -> str:
    return "".join(letter if letter.isalnum() else " " for letter in text.lower())


def _is_named(source: str, parts: Sequence[str]) -> bool:
    """Whether the words of a name hold a source: ``MMBench_DEV_EN`` is of ``mmbench``."""
    plain = _squeezed(source).replace(" ", "")
    joined = {"".join(parts[i : i + n]) for n in (1, 2, 3) for i in range(len(parts))}
    return bool(joined & {plain, *_ALIASES.get(source, ())})


def _rows(
    header: RunHeader, expected: Iterable[Sample], answers: Mapping[str, Answer], name: str
) -> Iterator[dict[str, object]]:
    """One row a sample, marked as every other answer is."""
    context = RowContext(
        run_id=header.run_id,
        model=header.model,
        model_key=header.model_key,
        weights_digest="",
        suite_digest=header.suite_digest,
        template=header.template,
        step=None,
        backend=header.backend,
        backend_version="",
        replica="",
        attempt=1,
        prompt_hash="",
    )
    unsaid = dict.fromkeys(_UNSAID)
    for sample in expected:
        answer = answers.get(sample.sample_id)
        if answer is None:
            row = make_unanswered(sample, INFRA_ERROR, f"{name} has no answer to it", context)
        elif answer.text is None:
            assert answer.status is not None
            row = make_unanswered(sample, answer.status, answer.cause or "", context)
        else:
            facts = answer.facts
            completion = Completion(
                request_id=sample.sample_id,
                text=answer.text,
                finish_reason=facts.finish_reason or "stop",
                tokens_in=facts.tokens_in,
                tokens_out=facts.tokens_out,
                confidence=facts.confidence,
                cost_usd=facts.cost_usd,
            )
            row = make_row(sample, completion, context)
            row.update(finish_reason=facts.finish_reason, latency_s=facts.latency_s)
        yield {**row, **unsaid}


def _stored(
    store: Store,
    header: RunHeader,
    suite: Suite,
    rows: Sequence[dict[str, object]],
    facts: Mapping[str, object],
) -> int:
    """Store the rows that are new and add the run up; nothing is written where it is all there."""
    selected = [str(row["sample_id"]) for row in rows]
    store.put_suite(suite.info)
    log = store.open_run(header)
    if not _new(log, rows) and counted(log, suite) >= set(selected) and log.state.current:
        return 0
    with hold_runs([log], ttl_s=_LEASE_S) as hold:
        new = _new(log, rows)
        hold.check()
        stored = log.append(new) if new else 0
        commit_run(log, suite, selected, facts)
    return stored


def _new(log: RunLog, rows: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    state = log.refresh()
    return [
        row
        for row in rows
        if row["sample_id"] not in state.done
        and state.open.get(str(row["sample_id"])) != row["status"]
    ]


def _report(
    header: RunHeader,
    store: Store,
    expected: Sequence[Sample],
    rows: Sequence[Mapping[str, object]],
    found: _Found,
    new: int,
) -> ImportReport:
    missing = [s.sample_id for s in expected if s.sample_id not in found.answers]
    asked = {sample.sample_id for sample in expected}
    failed: dict[str, int] = {}
    for sample_id, answer in found.answers.items():
        if answer.status is not None and sample_id in asked:
            failed[answer.status] = failed.get(answer.status, 0) + 1
    return ImportReport(
        run_id=header.run_id,
        model=header.model,
        suite=header.suite,
        store=store.url,
        expected=len(expected),
        answered=len(rows) - len(missing) - sum(failed.values()),
        new=new,
        failed=failed,
        missing=len(missing),
        first_missing=missing[0] if missing else None,
        other=found.other,
        repeated=found.repeated,
    )


def _nothing(found: _Found, suite: Suite, path: str | Path) -> UserError:
    if found.first_other is None:
        return UserError(f"{path}: there is no answer in it to a question of suite {suite.name}")
    says = found.first_other.says
    named = ", ".join([*says.ids, *([] if says.row is None else [f"position {says.row}"])])[:120]
    return found.first_other.place.fault(
        f"no row of the file is of a question of suite {suite.name} (this one names {named}, and "
        "no sample of that id or position asks its text); name the suite that was asked"
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
