"""Rows of MME, SEED-Bench, MMBench, MMStar and ConBench, as published."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

from lens_ray.testing.abilitylens_data.scenes import Ask, Scene

Row = dict[str, object]

#: Category to rows; the published ones, and what is asked in them here.
MME: Mapping[str, tuple[int, str]] = {
    "existence": (60, "attribute"), "count": (60, "counting"), "position": (60, "grounding"),
    "color": (60, "attribute"), "posters": (294, "structured_data"), "celebrity": (340, "entity"),
    "scene": (400, "attribute"), "landmark": (400, "entity"), "artwork": (400, "attribute"),
    "OCR": (40, "ocr"), "commonsense_reasoning": (140, "attribute"),
    "numerical_calculation": (40, "counting"), "text_translation": (40, "ocr"),
    "code_reasoning": (40, "ocr"),
}  # fmt: skip
SEED: Mapping[int, tuple[int, str]] = {
    1: (3158, "attribute"), 2: (1831, "entity"), 3: (4649, "attribute"), 4: (978, "grounding"),
    5: (2447, "counting"), 6: (657, "grounding"), 7: (97, "attribute"), 8: (331, "attribute"),
    9: (85, "structured_data"), 10: (1509, "attribute"), 11: (1225, "attribute"),
    12: (1023, "attribute"),
}  # fmt: skip
#: Category to base questions.
MMBENCH: Mapping[str, tuple[int, str]] = {
    "ocr": (39, "ocr"), "spatial_relationship": (45, "grounding"),
    "object_localization": (81, "grounding"), "attribute_recognition": (74, "attribute"),
    "attribute_comparison": (44, "attribute"), "celebrity_recognition": (99, "entity"),
    "identity_reasoning": (45, "entity"),
    "structuralized_imagetext_understanding": (78, "structured_data"),
    "image_scene": (104, "attribute"), "image_style": (53, "attribute"),
    "image_topic": (36, "attribute"), "image_quality": (53, "attribute"),
    "image_emotion": (50, "attribute"), "action_recognition": (54, "attribute"),
    "function_reasoning": (79, "attribute"), "future_prediction": (40, "attribute"),
    "nature_relation": (48, "attribute"), "physical_property_reasoning": (75, "attribute"),
    "physical_relation": (24, "attribute"), "social_relation": (43, "attribute"),
}  # fmt: skip
#: Sizes of these are not published; their sum is.
MMSTAR: Mapping[str, tuple[int, str]] = {
    "object counting": (106, "counting"), "localization": (53, "grounding"),
    "cross-instance attribute reasoning": (98, "attribute"),
    "single-instance reasoning": (96, "attribute"), "diagram reasoning": (96, "structured_data"),
    "recognition": (130, "entity"), "attribute & celebrity recognition": (120, "entity"),
    "code & sequence reasoning": (90, "ocr"), "electronics & energy & mechanical eng.": (80, "ocr"),
    "geometry": (110, "attribute"), "geography & earth science & agriculture": (80, "attribute"),
    "biology & chemistry & physics": (80, "attribute"), "image emotion": (50, "attribute"),
    "image scene and topic": (120, "attribute"), "image style & quality": (60, "attribute"),
    "cross-instance relation reasoning": (51, "grounding"),
    "numeric commonsense and calculation": (50, "counting"), "statistical reasoning": (30, "ocr"),
}  # fmt: skip
#: Field to images.
CONBENCH: Mapping[str, tuple[int, str]] = {
    "count": (25, "counting"), "ocr": (25, "ocr"), "position": (25, "grounding"),
    "attribute_reason": (25, "attribute"), "attribute_recognition": (25, "attribute"),
    "landmark": (25, "entity"), "celebrity": (25, "entity"), "poster": (25, "structured_data"),
    "scene": (200, "attribute"), "artwork": (200, "attribute"),
    "cross_instance_reason": (200, "attribute"), "figure": (200, "attribute"),
}  # fmt: skip
#: Base questions of rotations lie below this index.
TURN = 10**6


def mme(seed: int, small: int | None) -> Iterator[Row]:
    """Two questions an image."""
    rng = random.Random(f"{seed}/mme")
    for category, (rows, kind) in MME.items():
        for number in range(small or rows // 2):
            scene = Scene(rng, f"mme {category[:6]} {number}")
            ask = scene.ask(kind)
            truths = [True, False]
            rng.shuffle(truths)
            image = {"bytes": scene.encoded(), "path": f"{number:04d}.jpg"}
            for truth in truths:
                yield {
                    "question_id": f"{category}/{number:04d}.jpg",
                    "image": image,
                    "question": f"{ask.yes_no(truth, rng)} Please answer yes or no.",
                    "answer": "Yes" if truth else "No",
                    "category": category,
                }


def seed_bench(seed: int, small: int | None) -> Iterator[Row]:
    """Four options; three questions in a row share an image; videos have several frames."""
    rng = random.Random(f"{seed}/seed")
    native = 0
    for kind_id, (rows, kind) in SEED.items():
        scene, image = None, b""
        for number in range(small or rows):
            if scene is None or number % 3 == 0:
                scene = Scene(rng, f"seed {kind_id} {number // 3}")
                image = scene.encoded()
            # One question of a kind and picture, so that no two rows ask the same.
            ask = scene.ask((kind, "attribute", "ocr")[number % 3] if number % 3 else kind)
            options, right = ask.options(rng)
            frames = 8 if kind_id >= 10 else 1
            yield {
                "answer": "ABCD"[right],
                "choice_a": options[0], "choice_b": options[1],
                "choice_c": options[2], "choice_d": options[3],
                "data_id": f"{kind_id}_{number // 3}",
                "data_type": "video" if kind_id >= 10 else "image",
                "question": f"{ask.question} (question {native})",
                "question_id": str(native),
                "question_type_id": kind_id,
                "image": [{"bytes": image, "path": None}] * frames,
                "segment": [0.0, 4.5] if kind_id >= 10 else None,
            }  # fmt: skip
            native += 1


def mmbench(seed: int, small: int | None) -> Iterator[Row]:
    """Each question once for each order of its options; two, three or four of them."""
    rng = random.Random(f"{seed}/mmbench")
    bases: list[Row] = []
    later: list[list[Row]] = []
    index = 0
    for category, (count, kind) in MMBENCH.items():
        for number in range(small or count):
            scene = Scene(rng, f"mmb {index}")
            width = (4, 4, 4, 3, 4, 4, 4, 4, 4, 2)[number % 10]
            turns = list(_turns(scene.ask(kind), rng, index, width))
            facts: Row = {
                "question": "", "hint": _HINTS[number % len(_HINTS)], "category": category,
                "image": {"bytes": scene.encoded(), "path": None}, "source": "drawn",
                "L2-category": "perception", "comment": None, "split": "dev",
            }  # fmt: skip
            for turn in turns:
                turn.update({key: value for key, value in facts.items() if key != "question"})
            bases.append(turns[0])
            later.append(turns[1:])
            index += 1
    yield from bases
    for turns in later:
        yield from turns


#: None, empty, the text of a NaN, and a real one.
_HINTS = (None, "", "nan", "The picture shows shapes, a word and three bars.")


def _turns(ask: Ask, rng: random.Random, index: int, width: int) -> Iterator[Row]:
    options, right = ask.options(rng, width)
    for turn in range(width):
        order = options[turn:] + options[:turn]
        yield {
            "index": index + turn * TURN,
            "question": ask.question,
            "answer": "ABCD"[order.index(options[right])],
            **{letter: order[n] if n < width else "nan" for n, letter in enumerate("ABCD")},
        }


def mmstar(seed: int, small: int | None) -> Iterator[Row]:
    """Options inside the question, in two layouts, once in a way that cannot be taken apart."""
    rng = random.Random(f"{seed}/mmstar")
    index = 0
    for category, (rows, kind) in MMSTAR.items():
        for number in range(small or rows):
            scene = Scene(rng, f"star {index}")
            ask = scene.ask(kind)
            options, right = ask.options(rng)
            if number % 5 == 3:
                listed = "\n".join(f"({a}) {b}" for a, b in zip("ABCD", options, strict=True))
                question = f"{ask.question} Choices:\n{listed}"
            elif number % 5 == 4:
                listed = "; ".join(f"{a}) {b}" for a, b in zip("ABCD", options, strict=True))
                question = f"{ask.question} {listed}"
            else:
                listed = ", ".join(f"{a}: {b}" for a, b in zip("ABCD", options, strict=True))
                question = f"{ask.question}\nOptions: {listed}"
            yield {
                "index": index,
                "question": question,
                "image": scene.encoded("PNG"),
                "answer": "ABCD"[right],
                "category": "instance reasoning",
                "l2_category": category,
                "meta_info": {"source": "drawn", "split": "val", "image_path": f"{index}.png"},
            }
            index += 1


def conbench(seed: int, small: int | None) -> Iterator[Row]:
    """Three forms an image."""
    rng = random.Random(f"{seed}/conbench")
    number = 0
    for field, (images, kind) in CONBENCH.items():
        for _ in range(small or images):
            scene = Scene(rng, f"con {number}")
            ask = scene.ask(kind)
            options, right = ask.options(rng)
            truth = rng.random() < 0.5
            listed = "\n".join(f"{a}. {b}" for a, b in zip("ABCD", options, strict=True))
            image = {"bytes": scene.encoded(), "path": None}
            forms = (
                ("N/Y", f"{ask.yes_no(truth, rng)} Please answer yes or no.",
                 "Yes" if truth else "No"),
                ("Choices", f"{ask.question}\nOptions:\n{listed}\nAnswer with the letter.",
                 "ABCD"[right]),
                ("Q/A", f"{ask.question} Answer in one word.", ask.right),
            )  # fmt: skip
            for place, (form, question, answer) in enumerate(forms):
                yield {
                    "image_id": f"{number:04d}.jpg", "image": image, "question": question,
                    "field": field, "answer": answer, "question_id": str(3 * number + place),
                    "question_field": form,
                }  # fmt: skip
            number += 1
