"""What is asked of every family of tiny checkpoints, and what is known of the prompts by hand."""

from __future__ import annotations

from lens_ray.models import Generation, Request
from tests.models.helpers import png, request

_IMAGES = {
    "one": (png(1),),
    "other": (png(2),),
    "wide": (png(3, 150, 70),),
    "two": (png(1), png(2)),
    "swapped": (png(2), png(1)),
    "mixed": (png(1), png(2, 40, 120), png(4, 130, 110)),
    "none": (),
}
SEVERAL = ("two", "swapped", "mixed")


def family_requests(**given: object) -> list[Request]:
    """One text, about no image, one and several, of several shapes."""
    generation = Generation(max_new_tokens=8)
    return [
        request(0, **{"request_id": name, "images": images, "generation": generation, **given})
        for name, images in _IMAGES.items()
    ]


#: Prompt tokens that images add to the same text alone: one of 64x64, one of 150x70, two of 64x64.
#: Counted by hand: a token is four pixels shuffled together or averaged (idefics3, internvl,
#: gemma3, qwen), else a patch of 16 pixels, 4 x 4 of them.
#:
#: idefics3: 4 tokens, two marks around them, one that says the image is whole.
#: llava: 16 tokens and a line end.
#: llava_onevision: alone, 16 of the whole and 4 rows of the tiles, each with a line end; 150x70
#: fits 2 tiles side by side. Not alone, 16 and one line end.
#: qwen2_5_vl, qwen3_vl: rounded to blocks of 28 or 32 pixels, so 2 x 2 and 5 x 2, and two marks.
#: internvl: 4 tokens a tile, two marks, a line end; 150x70 is 2 tiles and a thumbnail.
#: gemma3: 4 tokens, two marks, two line ends before and after. Runs of line ends are one token, and
#: the first run joins the one of the template: 1 more for each image.
IMAGE_TOKENS = {
    "idefics3": (4 + 3, 4 + 3, 2 * (4 + 3)),
    "llava": (16 + 1, 16 + 1, 2 * (16 + 1)),
    "llava_onevision": (16 + 4 * 5, 16 + 4 * 9, 2 * (16 + 1)),
    "qwen2_5_vl": (4 + 2, 10 + 2, 2 * (4 + 2)),
    "qwen3_vl": (4 + 2, 10 + 2, 2 * (4 + 2)),
    "internvl": (4 + 3, 3 * 4 + 3, 2 * (4 + 3)),
    "gemma3": (4 + 2 + 1, 4 + 2 + 1, 2 * (4 + 2 + 1)),
}
#: PaliGemma cannot be asked without an image: its whole prompt is patches, <bos>, text, line end.
PALIGEMMA_TOKENS = (16 + 2, 16 + 2, 32 + 2)
