"""What float32 products cost by torch's own library and by oneDNN, when their sizes have come before and when not.

    python -m perf.products [--hidden 256] [--first 600] [--sizes 60] [--out FILE]

For each of so many numbers of rows, one after the other: the three products of five linear layers of a language model
and its tower (forward, and backward to input and weights). oneDNN takes each number twice in a row, so that the first
time is of new sizes and the second is not. `grown_mib` is by how much the process grew while the sizes were new.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from boresight.models import matmul
from boresight.models.device import used_bytes
from boresight.models.matmul import Matmul
from perf.counting import product_flops_per_s

_LARGE = 2048


def main() -> None:
    args = _arguments()
    hidden = args.hidden
    widths = ((hidden, hidden), (688 * hidden // 256, hidden), (hidden, 688 * hidden // 256))
    weights = [torch.randn(*shape) for shape in (*widths, (4 * hidden, hidden), (hidden, 4 * hidden))]
    _layers_s("onednn", weights, args.first - 1)
    seconds: dict[str, list[float]] = {"torch": [], "onednn_new_sizes": [], "onednn_known_sizes": []}
    before = used_bytes(torch.device("cpu"))
    for rows in range(args.first, args.first + args.sizes):
        seconds["onednn_new_sizes"].append(_layers_s("onednn", weights, rows))
        seconds["onednn_known_sizes"].append(_layers_s("onednn", weights, rows))
    grown = used_bytes(torch.device("cpu")) - before
    for rows in range(args.first, args.first + args.sizes):
        seconds["torch"].append(_layers_s("torch", weights, rows))
    large = torch.rand(_LARGE, _LARGE)
    text = json.dumps(
        {
            "benchmark": "products",
            "hidden": hidden,
            "sizes": args.sizes,
            "products_per_size": 3 * len(weights),
            "milliseconds_per_size": {name: round(1e3 * statistics.median(s), 2) for name, s in seconds.items()},
            "grown_mib": round(grown / 2**20),
            "large_gflop_per_s": {
                which: round(product_flops_per_s(matmul.by(which), large) / 1e9, 1) for which in get_args(Matmul)
            },
            "threads": torch.get_num_threads(),
            "capability": torch.backends.cpu.get_cpu_capability(),
            "torch": torch.__version__,
            "cores": os.cpu_count(),
        },
        indent=1,
    )
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


def _layers_s(which: Matmul, weights: list[Tensor], rows: int) -> float:
    multiply = matmul.by(which)
    seconds = 0.0
    for weight in weights:
        x, grad = torch.randn(rows, weight.shape[1]), torch.randn(rows, weight.shape[0])
        began = time.perf_counter()
        multiply(x, weight.t())
        multiply(grad, weight)
        multiply(grad.t(), x)
        seconds += time.perf_counter() - began
    return seconds


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--first", type=int, default=600)
    parser.add_argument("--sizes", type=int, default=60)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
