"""From public data sets to one suite: `build_suite`.

Each source is read twice, first without its images, and ends as an entry of the work folder, whole
or not at all; a build that was broken off goes on with the next source. Then the entries are put
together, the splits given out, and the folder moved to its name by one rename.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lens_ray import node_cache
from lens_ray.errors import SuiteError
from lens_ray.node_cache import alone, discard, keep, release
from lens_ray.suites.clusters import join_clusters
from lens_ray.suites.digest import source_digest
from lens_ray.suites.drafts import make_drafts
from lens_ray.suites.files import is_url, make_info, place, read_info, write_info, write_samples
from lens_ray.suites.image_writer import ImageWriter, read_images
from lens_ray.suites.load import folder_name, installed, suites_home
from lens_ray.suites.origins import Located, Origin, locate, missing, read_origin
from lens_ray.suites.picturing import add_pictures
from lens_ray.suites.sample import Sample
from lens_ray.suites.sources.base import Source
from lens_ray.suites.sources.options import Options
from lens_ray.suites.splits import assign_splits
from lens_ray.suites.suite import Suite, SuiteInfo, read_suite

#: Folder below `lens_ray.node_cache.home` of what a build has done so far.
WORK = "suite-work"
#: One seed for all suites of public sources.
SPLIT_SEED = 241114725
_FACTS = "source.json"
#: Changes with the layout of an entry.
_ENTRY = 1

Say = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """What a suite is to be.

    Attributes:
        name: Its name.
        sources: Which benchmarks.
        options: The open switches.
        abilities: Which abilities, or None for all.
        revisions: Source to the commit that is read from the hub instead of the pinned one.
        preset: Name of the preset that it came from, or None.
    """

    name: str
    sources: tuple[Source, ...]
    options: Options
    abilities: tuple[str, ...] | None = None
    revisions: Mapping[str, str] = field(default_factory=dict)
    preset: str | None = None

    def wanted(self) -> tuple[Source, ...]:
        """The sources that hold one of the abilities under the options."""
        return tuple(source for source in self.sources if self.taken(source))

    def taken(self, source: Source) -> tuple[str, ...]:
        """The abilities that are taken from a source."""
        return tuple(
            ability
            for ability in source.taken(self.options)
            if self.abilities is None or ability in self.abilities
        )

    def facts(self) -> dict[str, object]:
        """For ``suite.json``."""
        facts: dict[str, object] = {"options": dict(self.options.as_json())}
        if self.preset is not None:
            facts["preset"] = self.preset
        if self.abilities is not None:
            facts["abilities"] = list(self.abilities)
        return facts


def build_suite(
    recipe: Recipe,
    origins: Sequence[str],
    *,
    out: str | None = None,
    images: Path | None = None,
    home: str | Path | None = None,
    say: Say = lambda line: None,
) -> Suite:
    """Build a suite, or find that it was built already.

    Args:
        recipe: What it is to be.
        origins: Where to look for each source, in order: ``hub``, a folder of data sets, a file,
            or ``SOURCE=`` one of these.
        out: Folder or URL it is to lie in; None installs it in ``$LENS_RAY_HOME/suites``.
        images: Folder or archive of the images that VLMEvalKit's tables name by path.
        home: Instead of ``$LENS_RAY_HOME``.
        say: Takes lines on the progress.

    Raises:
        SuiteError: A source is not found, or a file of it is not as published; the line names
            file, row and column.
        EnvironmentFailure: The hub is out of reach.
        StoreUnavailable: The disk is full.
    """
    top = Path(home or node_cache.home())
    chosen = recipe.wanted()
    _check(recipe, chosen)
    read = _origins(recipe, chosen, origins)
    entries: dict[str, Path] = {}
    try:
        for source in chosen:
            place_on_hub = source.place(recipe.options)
            located = locate(
                source, place_on_hub, read,
                revision=recipe.revisions.get(source.name), images=images, say=say,
            )  # fmt: skip
            entries[source.name] = _entry(recipe, source, located, top, say)
        key = _digest([recipe.name, recipe.facts(), [entry.name for entry in entries.values()]])
        built = _built(key, out, home)
        if built is None:
            built = _put_together(recipe, entries, key, out, top, say)
    finally:
        for entry in entries.values():
            release(entry)
    for entry in entries.values():
        with suppress(OSError), alone(entry, "use") as unused:
            if unused:
                discard(entry)
    return built


def _check(recipe: Recipe, chosen: Sequence[Source]) -> None:
    known = {ability for source in recipe.sources for ability in source.taken(recipe.options)}
    for ability in recipe.abilities or ():
        if ability not in known:
            raise SuiteError(
                f"ability {ability!r}: none of these sources has it under these options; "
                f"they have {', '.join(sorted(known))}"
            )
    if not chosen:
        raise SuiteError("no source is left; name others, or other options")


def _origins(recipe: Recipe, chosen: Sequence[Source], origins: Sequence[str]) -> list[Origin]:
    names = [source.name for source in recipe.sources]
    read = [read_origin(text, names) for text in origins]
    lacking = missing([(source, source.place(recipe.options)) for source in chosen], read)
    if lacking:
        named = ", ".join(f"{source} (folder {folder})" for source, folder in lacking)
        rest = [one.name for one in chosen if one.name not in dict(lacking)]
        only = " ".join(f"--source {name}" for name in rest)
        hint = f"build what is there with {only}" if rest else "give another folder, or --from hub"
        raise SuiteError(f"--from {' '.join(origins)}: holds no {named}; {hint}")
    return read


def _code() -> str:
    """A digest of what makes samples of rows: other code makes other entries."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for file in sorted(
        [*here.glob("sources/*.py"), *here.glob("readers/*.py"), *here.glob("*.py")]
    ):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _entry(recipe: Recipe, source: Source, located: Located, top: Path, say: Say) -> Path:
    """The entry of a source in the work folder, made where it is missing."""
    abilities = recipe.taken(source)
    facts = [_ENTRY, _code(), source.name, abilities, dict(recipe.options.as_json())]
    key = _digest([*facts, located.identity()])
    entry = top / WORK / f"{source.name}-{key}"

    def fill(folder: Path) -> None:
        _make(recipe, source, located, folder, say)

    size = sum(file.stat().st_size for file in located.files)
    was_there = entry.is_dir()
    keep(entry, fill, size // 2)
    if was_there:
        say(f"{source.name}: {_facts(entry)['samples']:,} samples, made before")
    return entry


def _make(recipe: Recipe, source: Source, located: Located, folder: Path, say: Say) -> None:
    say(f"{source.name}: reading {located.data_set}")
    table = located.open()
    drafts, rows = make_drafts(source, table, recipe.options, recipe.taken(source), say)
    with ImageWriter(folder / "images.parquet") as writer:
        samples = add_pictures(table, drafts, writer, source.name, say)
    write_samples(samples, folder / "samples.parquet")
    info = make_info(source.name, samples, writer.hashes, source.licence, table.revision())
    facts = {
        "digest": source_digest(samples), "licence": source.licence, "revision": info.revision,
        "data_set": located.data_set, "rows": rows, "samples": info.samples,
    }  # fmt: skip
    (folder / _FACTS).write_text(json.dumps(facts), encoding="utf-8")
    write_info(info, folder / "suite.json")
    counts = Counter(sample.ability for sample in samples)
    listed = ", ".join(f"{count:,} {ability}" for ability, count in counts.items())
    say(f"{source.name}: {info.samples:,} samples, {info.images:,} images; {listed}")


def _facts(entry: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((entry / _FACTS).read_text(encoding="utf-8"))
    return facts


def _built(key: str, out: str | None, home: str | Path | None) -> Suite | None:
    """The suite of this recipe and these files, where it lies there already."""
    if out is not None:
        candidates = [out] if not is_url(out) and Path(out, "suite.json").is_file() else []
    else:
        candidates = [
            str(suites_home(home) / folder_name(info.name, info.digest))
            for info in installed(home)
            if info.recipe.get("key") == key
        ]
    for location in candidates:
        with suppress(SuiteError):
            if read_info(location).recipe.get("key") == key:
                return read_suite(location)
    return None


def _put_together(
    recipe: Recipe, entries: Mapping[str, Path], key: str, out: str | None, top: Path, say: Say
) -> Suite:
    made = top / WORK / f"whole-{key}"
    need = sum(file.stat().st_size for entry in entries.values() for file in entry.iterdir())
    keep(made, lambda folder: _merge(recipe, entries, key, folder), need)
    try:
        info = read_info(str(made))
        target = out or str(suites_home(top) / folder_name(info.name, info.digest))
        place(made, target, info.digest, move=True)
    finally:
        release(made)
        with suppress(OSError):
            if made.is_dir():
                discard(made)
    say(f"{info.name}@{info.digest[:12]}: {info.samples:,} samples, {info.images:,} images")
    return read_suite(target)


def _merge(recipe: Recipe, entries: Mapping[str, Path], key: str, folder: Path) -> None:
    samples: list[Sample] = []
    sources: dict[str, dict[str, object]] = {}
    with ImageWriter(folder / "images.parquet") as writer:
        for name, entry in entries.items():
            part = read_suite(str(entry))
            samples += part.samples
            sources[name] = _facts(entry)
            for image in read_images(entry / "images.parquet"):
                writer.add(*image)
    split = assign_splits(join_clusters(samples), SPLIT_SEED)
    info: SuiteInfo = make_info(
        recipe.name, split, writer.hashes,
        "; ".join(f"{name}: {facts['licence']}" for name, facts in sources.items()),
        "; ".join(f"{name}: {facts['revision']}" for name, facts in sources.items()),
        weighting=recipe.options.weights,
    )  # fmt: skip
    write_samples(split, folder / "samples.parquet")
    facts = {**recipe.facts(), "key": key}
    write_info(dataclasses.replace(info, sources=sources, recipe=facts), folder / "suite.json")
