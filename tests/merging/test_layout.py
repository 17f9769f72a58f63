"""Where tensors go: what is laid out is what safetensors reads."""

from __future__ import annotations

from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from lens_ray.merging.layout import lay_out, row_ranges
from lens_ray.models.safetensors_header import TensorFacts, read_header, read_spans

SHAPES = st.lists(st.integers(0, 5), max_size=4).map(tuple)
TENSORS = st.dictionaries(
    st.text('abc.é"\\', min_size=1, max_size=6).filter(lambda name: name != "__metadata__"),
    st.builds(TensorFacts, st.sampled_from(["F64", "F32", "F16", "BF16", "I64", "BOOL"]), SHAPES),
    min_size=1,
    max_size=8,
)


@given(TENSORS, st.sampled_from([None, "float32", "bfloat16"]), st.integers(1, 2000))
def test_headers_are_what_safetensors_reads(
    tensors: dict[str, TensorFacts], dtype: str | None, most: int
) -> None:
    layout = lay_out(tensors, dtype, most / 1e9)
    found: dict[str, TensorFacts] = {}
    with TemporaryDirectory() as made:
        for number, file in enumerate(layout.files):
            path = Path(made, file.name)
            path.write_bytes(file.header + bytes(file.size - len(file.header)))
            found.update(read_header(path))
            spans = read_spans(path)
            for place in layout.places:
                if place.file == number:
                    span = spans[place.name]
                    assert (place.begin, place.size) == (span.begin, span.end - span.begin)
                    assert place.begin % max(1, int(TensorFacts(place.dtype, ()).size)) == 0
            with safe_open(path, "pt") as opened:
                assert opened.metadata() == {"format": "pt"}
            held = [place for place in layout.places if place.file == number]
            assert sum(place.size for place in held) <= most or len(held) == 1 or all(
                place.size == 0 for place in held[1:]
            )  # fmt: skip
    named = {"float32": "F32", "bfloat16": "BF16"}
    for name, facts in tensors.items():
        floats = facts.dtype in ("F64", "F32", "F16", "BF16")
        assert found.pop(name).dtype == (named[dtype] if dtype and floats else facts.dtype)
    assert not found
    assert (layout.index is None) == (len(layout.files) == 1)


@given(SHAPES, st.integers(1, 40))
def test_ranges_cover_every_row_once(shape: tuple[int, ...], most: int) -> None:
    ranges = list(row_ranges(shape, most))
    covered = [row for first, last in ranges for row in range(first, last)]
    assert covered == list(range(shape[0] if shape else 1))
    row = prod(shape[1:])
    assert all((last - first) * row <= max(most, row) for first, last in ranges)


def test_one_file_where_it_fits() -> None:
    """Two tensors of 8 bytes; a limit of 16 bytes holds both, of 15 one."""
    tensors = {name: TensorFacts("F32", (2,)) for name in ("a", "b")}
    assert [file.name for file in lay_out(tensors, shard_gb=16e-9).files] == ["model.safetensors"]
    assert len(lay_out(tensors, shard_gb=15e-9).files) == 2


def test_the_order_of_the_parent_does_not_matter() -> None:
    tensors = {name: TensorFacts("BF16", (3, 2)) for name in "dacb"}
    assert lay_out(tensors) == lay_out(dict(sorted(tensors.items())))


@pytest.mark.parametrize("most", [1, 7, 100])
def test_a_row_is_never_cut(most: int) -> None:
    assert all(last > first for first, last in row_ranges((4, 50), most))
