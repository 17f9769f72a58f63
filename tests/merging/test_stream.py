"""Many threads over many tensors: looks before merges, failures, and bounded memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from lens_ray.merging import stream as streaming
from lens_ray.merging.apply import apply_recipe
from lens_ray.merging.kernel import Piece
from lens_ray.merging.layout import Layout, Place, lay_out
from lens_ray.merging.parents import gathered
from lens_ray.merging.recipe import Recipe
from lens_ray.merging.stream import stream
from lens_ray.merging.turns import Course, Turns
from lens_ray.merging.writer import Writer
from lens_ray.models.safetensors_header import TensorFacts
from tests.merging.folders import checkpoint, linear, numbers, same_bits, weights_of


class TwoLooks:
    """Takes the mean of the parents off; checks the order of everything it is asked."""

    looks = 2

    def __init__(self, pieces: int) -> None:
        self._pieces = pieces
        self._lock = threading.Lock()
        self._seen: list[list[int]] = [[], []]
        self._settled: list[Sequence[object]] = []

    def look(self, number: int, piece: Piece) -> object:
        with self._lock:
            assert len(self._settled) == number
            self._seen[number].append(piece.number)
        return float(piece.parents[0].double().sum()), piece.number

    def settle(self, number: int, found: Sequence[object]) -> None:
        assert sorted(self._seen[number]) == list(range(self._pieces))
        assert [one[1] for one in found if isinstance(one, tuple)] == list(range(self._pieces))
        self._settled.append(found)

    def merge(self, piece: Piece) -> torch.Tensor:
        assert len(self._settled) == self.looks
        total = sum(float(one[0]) for one in self._settled[0] if isinstance(one, tuple))
        taken: torch.Tensor = piece.parents[0].double() - total
        return taken.float()


def _stream(tmp_path: Path, recipe: Recipe, kernel_of: Any, threads: int) -> None:
    (tmp_path / "out").mkdir(exist_ok=True)
    with gathered(recipe) as family:
        layout = lay_out(family.parents[0].reader.tensors)
        writer = Writer(tmp_path / "out", layout)
        try:
            stream(family, layout, kernel_of, writer, keeps_equal=False, threads=threads)
        finally:
            writer.close()


@pytest.mark.parametrize("threads", [1, 5])
def test_every_look_is_over_before_the_next_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    monkeypatch.setattr(streaming, "PIECE", 64)
    held = {f"{k}.weight": torch.arange(400.0).view(50, 8) + k for k in range(6)}
    path = checkpoint(tmp_path / "a", held)
    recipe = linear([path], [1.0])
    _stream(tmp_path, recipe, lambda place: TwoLooks(25), threads)
    found = weights_of(tmp_path / "out")
    for name, tensor in held.items():
        wanted = (tensor.double() - tensor.double().sum()).float()
        assert same_bits(found[name], wanted)


@pytest.mark.parametrize("piece", [32, 64, 1 << 24])
def test_a_tensor_of_one_piece_is_read_once_and_any_other_more_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(streaming, "PIECE", piece)
    reads = []
    read = streaming._Bench._read

    def counted(bench: Any, *asked: Any) -> torch.Tensor:
        reads.append(asked)
        return read(bench, *asked)

    monkeypatch.setattr(streaming._Bench, "_read", counted)
    path = checkpoint(tmp_path / "a", {"x.weight": torch.arange(16.0).view(2, 8)})
    pieces = 2 if piece == 32 else 1
    _stream(tmp_path, linear([path], [1.0]), lambda place: TwoLooks(pieces), 3)
    wanted = (torch.arange(16.0) - 120).view(2, 8)
    assert same_bits(weights_of(tmp_path / "out")["x.weight"], wanted)
    assert len(reads) == (6 if piece == 32 else 1)


@pytest.mark.parametrize("stage", ["look", "settle", "merge"])
def test_the_first_failure_ends_it(tmp_path: Path, stage: str) -> None:
    def fail(*_: object) -> object:
        raise ZeroDivisionError("a bug")

    def kernel(place: Place) -> TwoLooks:
        made = TwoLooks(1)
        if place.name == "3.weight":
            setattr(made, stage, fail)
        return made

    held = {f"{k}.weight": torch.arange(8.0) for k in range(6)}
    recipe = linear([checkpoint(tmp_path / "a", held)], [1.0])
    threads = threading.active_count()
    with pytest.raises(ZeroDivisionError, match="a bug"):
        _stream(tmp_path, recipe, kernel, 4)
    assert threading.active_count() == threads


def test_few_tensors_are_open_at_once() -> None:
    opened = 0

    def courses() -> Iterator[Course]:
        nonlocal opened
        for number in range(100):
            opened += 1
            place = Place(str(number), TensorFacts("F32", (2,)), "F32", 0, 0)
            yield Course(place, None, ((0, 1), (1, 2)))

    turns = Turns(courses())
    held = [turns.take() for _ in range(5)]
    assert opened == 3  # of two pieces each
    for turn in held:
        assert turn is not None
        turns.done(*turn)
    while (turn := turns.take()) is not None:
        turns.done(*turn)
    assert opened == 100


def test_the_callers_threads_are_left_alone(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        apply_recipe(linear([checkpoint(tmp_path / "a", numbers(1))], [1.0]), tmp_path / "out")
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def _anonymous() -> int:
    """Bytes of this process that are not files."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no RssAnon")


def test_memory_does_not_grow_with_the_model(tmp_path: Path) -> None:
    """Three parents of 64 MB: what is added stays under 40 MB, two workers' pieces and more."""
    made = torch.randn(1 << 20).bfloat16()
    paths = [
        checkpoint(tmp_path / f"{k}", {f"{n}.weight": made.roll(k).view(1024, 1024)
                                       for n in range(32)})
        for k in range(3)
    ]  # fmt: skip
    recipe = linear(paths, [0.2, 0.3, 0.5])
    apply_recipe(linear(paths[:1], [1.0]), tmp_path / "first")  # imports
    before, highest = _anonymous(), [0]
    apply_recipe(
        recipe,
        tmp_path / "out",
        threads=2,
        check=False,
        progress=lambda *_: highest.append(_anonymous()),
    )
    assert max(highest) - before < 40e6
    assert len(highest) > 5


def test_a_layout_without_a_tensor_of_rows(tmp_path: Path) -> None:
    held = {"empty.weight": torch.empty(0, 4), "also": torch.empty(3, 0)}
    recipe = linear([checkpoint(tmp_path / "a", {**held, "w": torch.ones(1)})] * 2, [0.5, 0.5])
    apply_recipe(recipe, tmp_path / "out")
    found = weights_of(tmp_path / "out")
    assert {name: tuple(tensor.shape) for name, tensor in found.items()} == {
        "empty.weight": (0, 4), "also": (3, 0), "w": (1,)
    }  # fmt: skip
    assert isinstance(lay_out({}), Layout)


def test_a_shape_that_promises_endless_rows_of_nothing_is_passed_over() -> None:
    layout = lay_out({"x": TensorFacts("F32", (2**62, 0))})
    assert list(streaming._courses(layout, lambda _: TwoLooks(0))) == []
