"""Lets torchvision of PyPI, built for CUDA, be imported beside torch for CPU, where its operators do not load.

Only tests of processors need it, and are skipped without it; all others run without, as a user's own run may. `make
test` installs it into a folder of its own and gives it to the former:

    pip install --no-deps --target FOLDER torchvision num2words docopt
    PYTHONPATH=FOLDER python -m pytest tests/models/test_processors.py
"""

from __future__ import annotations

import contextlib
from importlib.util import find_spec
from pathlib import Path

import torch

_OPERATORS = ("nms", "qnms")
_kept = []  # declarations last as long as their library


def _declare_operators() -> None:
    found = find_spec("torchvision")
    if found is None or found.origin is None:
        return
    with contextlib.suppress(OSError):
        torch.ops.load_library(str(next(Path(found.origin).parent.glob("_C*.so"), "")))
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in _OPERATORS:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _kept.append(library)


_declare_operators()
