"""Generators of the shipped packs' demonstration sets: `DEMOS`.

Each draws one row: columns as a table would have them, the photos as pixels of 64 by 64. The
answer is drawn first and uniformly, then the picture, as in `lens_ray.suites.mini`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lens_ray.suites.mini.item import Dealer
from lens_ray.suites.packs.demo import clinic, factory, tasks, warehouse

#: Generator by the name that a pack's ``demo:`` gives.
DEMOS: Mapping[str, Callable[[Dealer], Mapping[str, object]]] = {
    "plate": factory.plate,
    "plate_kind": factory.plate_kind,
    "plate_region": factory.plate_region,
    "gauge": factory.gauge,
    "parts": factory.parts,
    "part_label": factory.part_label,
    "parcel_label": warehouse.parcel_label,
    "barcode": warehouse.barcode,
    "parcel_damage": warehouse.parcel_damage,
    "pallet": warehouse.pallet,
    "parcel_pair": warehouse.parcel_pair,
    "display": clinic.display,
    "form": clinic.form,
    "sides": clinic.sides,
    "coloured_shape": tasks.coloured_shape,
    "order": tasks.order,
    "sum": tasks.sum_of_two,
    "limit": tasks.limit,
}
