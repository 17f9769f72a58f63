"""Rows of MuirBench, MIRB, OCRBench, SynthDoG, ChartQA and AI2D, as published."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping

from PIL import Image

from lens_ray.testing.abilitylens_data.scenes import Scene, encoded, page

Row = dict[str, object]

MUIRBENCH: Mapping[str, tuple[int, str]] = {
    "Counting": (234, "counting"), "Visual Grounding": (84, "grounding"),
    "Difference Spotting": (340, "attribute"), "Attribute Similarity": (196, "attribute"),
    "Diagram Understanding": (398, "structured_data"), "Action Understanding": (164, "attribute"),
    "Cartoon Understanding": (78, "attribute"), "Geographic Understanding": (100, "attribute"),
    "Image-Text Matching": (464, "ocr"), "Ordering": (64, "attribute"),
    "Scene Understanding": (186, "attribute"), "Visual Retrieval": (292, "entity"),
}  # fmt: skip
#: Sizes of the subsets are not published; their sum is 969.
MIRB: Mapping[str, tuple[int, str]] = {
    "count": (100, "counting"), "visual_chain": (100, "counting"), "jigsaw": (100, "attribute"),
    "analogy": (100, "attribute"), "attribute": (100, "attribute"), "codeu": (100, "ocr"),
    "food": (100, "entity"), "localization": (100, "grounding"), "plot_code": (69, "ocr"),
    "sightseeing": (50, "entity"), "3d_scene": (50, "counting"),
}  # fmt: skip
OCRBENCH: Mapping[str, tuple[int, str]] = {
    "Regular Text Recognition": (50, "IIIT5K"), "Irregular Text Recognition": (50, "svtp"),
    "Artistic Text Recognition": (50, "WordArt"), "Handwriting Recognition": (50, "IAM"),
    "Digit String Recognition": (50, "ORAND"), "Non-Semantic Text Recognition": (50, "NonSemText"),
    "Scene Text-centric VQA": (200, "TextVQA"), "Doc-oriented VQA": (200, "docVQA"),
    "Key Information Extraction": (200, "SROIE"),
    "Handwritten Mathematical Expression Recognition": (100, "HME100k"),
}  # fmt: skip
SYNTHDOG, CHARTQA, AI2D = 500, 1250, 3088
UNANSWERABLE = "None of the choices provided"


def muirbench(seed: int, small: int | None) -> Iterator[Row]:
    """Two to four images; every second question is the unanswerable twin of the one before."""
    rng = random.Random(f"{seed}/muirbench")
    number = 0
    for task, (rows, kind) in MUIRBENCH.items():
        for pair in range((small or rows) // 2):
            scenes = [Scene(rng, f"muir {number}.{n}") for n in range(rng.randint(2, 4))]
            images = [{"bytes": scene.encoded(), "path": None} for scene in scenes]
            ask = scenes[0].ask(kind)
            options, right = ask.options(rng, 3 + pair % 2)
            marks = "<image> " * len(scenes)
            in_options = pair % 3 == 2
            for twin in range(2):
                shown = list(options)
                shown[right] = UNANSWERABLE if twin else shown[right]
                if in_options:
                    shown[-1] = f"{shown[-1]} <image>"
                yield {
                    "idx": str(number),
                    "task": task,
                    "image_relation": "Independent",
                    "image_type": ("Photography", "Diagrams and Charts", "Maps")[pair % 3],
                    "question": f"{ask.question[:-1]} in the first of these? {marks}".strip(),
                    "options": shown,
                    "answer": "ABCDE"[right],
                    "image_list": images,
                    "counterpart_idx": str(number + (-1 if twin else 1)),
                }
                number += 1


def mirb(seed: int, small: int | None) -> Iterator[Row]:
    """Several images, an open number; other subsets are answered by a letter or a word."""
    rng = random.Random(f"{seed}/mirb")
    for subset, (rows, kind) in MIRB.items():
        for number in range(small or rows):
            scenes = [Scene(rng, f"mirb {subset[:5]} {number}.{n}") for n in range(2 + number % 2)]
            ask = scenes[0].ask(kind)
            question, answer = ask.question, ask.right
            if subset == "count":
                question = "How many shapes are in all of these pictures together?"
                answer = str(sum(len(scene.shapes) for scene in scenes))
            yield {
                "question_id": number,
                "subset": subset,
                "questions": question,
                "answers": answer,
                "image_list": [{"bytes": one.encoded("PNG"), "path": None} for one in scenes],
            }


def ocrbench(seed: int, small: int | None) -> Iterator[Row]:
    """One or more accepted answers; formulas with spaces and capitals; odd encodings."""
    rng = random.Random(f"{seed}/ocrbench")
    row = 0
    for kind, (rows, data_set) in OCRBENCH.items():
        for number in range(small or rows):
            scene = Scene(rng, f"ocrb {row}")
            question, answers = "what is written in the image?", [scene.word]
            if kind.endswith(("VQA", "Extraction")):
                question = "What is the word at the bottom?\nAnswer this question briefly."
                answers = [scene.word, f"the word {scene.word}", f"{scene.word}\n{scene.word}"]
            if data_set == "HME100k":
                question = "Please write out the expression of the formula in the image."
                answers = [f"\\frac {{ {scene.word} }} {{ {number} }} = X"]
            yield {
                "dataset": data_set,
                "question": question,
                "question_type": kind,
                "answer": answers,
                "image": {"bytes": _odd(scene, row), "path": f"{row}.jpg"},
            }
            row += 1


def _odd(scene: Scene, row: int) -> bytes:
    """A picture in one of the encodings that data sets hold."""
    image = scene.draw()
    way = row % 8
    if way == 1:
        turned = Image.Exif()
        turned[0x0112] = 6  # turn by 90 degrees to see it upright
        return encoded(image.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=turned)
    if way == 2:
        clear = image.convert("RGBA")
        clear.putalpha(200)
        return encoded(clear, "PNG")
    if way == 3:
        return encoded(image, "WEBP", lossless=True)
    if way == 4:
        return encoded(image.convert("P", palette=Image.Palette.ADAPTIVE), "GIF")
    if way == 5:
        return encoded(image.convert("CMYK"), "JPEG")
    if way == 6:
        return encoded(image.convert("L"), "PNG")
    return encoded(image)


def synthdog(seed: int, small: int | None) -> Iterator[Row]:
    """A page and its text in JSON."""
    rng = random.Random(f"{seed}/synthdog")
    for number in range(small or SYNTHDOG):
        image, text = page(rng, f"dog {number}")
        if number % 7 == 3:
            text += ' "São Paulo" – 12 €'
        truth = {"gt_parse": {"text_sequence": text}}
        yield {
            "image": {"bytes": image, "path": f"image_{number}.jpg"},
            "ground_truth": json.dumps(truth, ensure_ascii=number % 2 == 0),
        }


def chartqa(seed: int, small: int | None) -> Iterator[Row]:
    """Numbers, percentages, years and words; people's questions and generated ones."""
    rng = random.Random(f"{seed}/chartqa")
    for kind in ("human_test", "augmented_test"):
        for number in range(small or CHARTQA):
            scene = Scene(rng, f"chart {kind[:3]} {number}")
            ask = scene.ask("structured_data")
            question, answer = ask.question, ask.right
            if number % 5 == 1:
                first, second = sorted(scene.bars)[:2]
                question = f"What is bar {first} as a share of bar {second}, in per cent?"
                answer = f"{round(100 * scene.bars[first] / scene.bars[second], 1)}%"
            elif number % 5 == 2:
                question = "Which bar is the highest?"
                answer = max(scene.bars, key=lambda name: scene.bars[name])
            elif number % 5 == 3:
                question, answer = (
                    "Is bar K higher than bar L?",
                    ("Yes" if scene.bars["K"] > scene.bars["L"] else "No"),
                )
            elif number % 5 == 4:
                question = "What is bar K minus bar L?"
                answer = str(scene.bars["K"] - scene.bars["L"])
            yield {
                "type": kind,
                "question": question,
                "answer": answer,
                "image": {"bytes": scene.encoded("PNG"), "path": None},
            }


def ai2d(seed: int, small: int | None) -> Iterator[Row]:
    """Four options; the answer is the index of the right one, as a text."""
    rng = random.Random(f"{seed}/ai2d")
    kinds = ("structured_data", "ocr", "counting", "attribute")
    scene, image = None, b""
    for number in range(small or AI2D):
        if scene is None or number % len(kinds) == 0:
            scene = Scene(rng, f"ai2d {number}")
            image = scene.encoded("PNG")
        ask = scene.ask(kinds[number % len(kinds)])
        options, right = ask.options(rng)
        yield {
            "question": ask.question,
            "options": options,
            "answer": str(right),
            "image": {"bytes": image, "path": None},
        }
