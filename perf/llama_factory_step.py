"""LLaMA-Factory as a peer of `perf.preference_step`: its own trainer, held between steps until it is asked to go on.

    PYTHON -m perf.llama_factory_step FOLDER --pairs 2 --steps 8 --cutoff 4096 [--frozen-media] [--checkpoint]

PYTHON is the interpreter of an environment with LLaMA-Factory 0.9.5 (transformers 5.6, trl 0.24). FOLDER holds the
model and the rows that `perf.preference_step` wrote there. A step lasts from being asked to the logged loss, so it
includes the pictures' processing. Its audio library is left out: it is not used, and fails to load beside some builds.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.machinery
import json
import os
import sys
import time
import types
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from perf.counting import flop_counter, peak_mib


class OneByOne(TrainerCallback):  # type: ignore[misc, unused-ignore]
    """Takes a step per line of standard input."""

    def __init__(self, answers: Any) -> None:
        self._answers = answers
        self._began = 0.0
        self._counter = contextlib.ExitStack()
        self._counted: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._wait(control)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if logs is None or "loss" not in logs:
            return
        said = {"seconds": time.perf_counter() - self._began, "loss": float(logs["loss"]), "peak_mib": peak_mib()}
        if self._counted is not None:
            self._counter.close()
            said = {"flops": float(self._counted.get_total_flops())}
            self._counted = None
        self._answers.write(json.dumps(said) + "\n")
        self._wait(control)

    def _wait(self, control: Any) -> None:
        asked = sys.stdin.readline().strip()
        if not asked:
            control.should_training_stop = True
        elif asked == "count":
            self._counted = self._counter.enter_context(flop_counter())
        self._began = time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--cutoff", type=int, required=True)
    parser.add_argument("--frozen-media", action="store_true")
    parser.add_argument("--checkpoint", action="store_true")
    args = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    unused = types.ModuleType("torchaudio")
    unused.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
    sys.modules["torchaudio"] = unused
    from llamafactory.train.tuner import run_exp  # type: ignore[import-not-found, unused-ignore]

    run_exp(
        {
            "model_name_or_path": str(args.folder / "model"),
            "stage": "dpo",
            "do_train": True,
            "finetuning_type": "full",
            "freeze_vision_tower": args.frozen_media,
            "freeze_multi_modal_projector": args.frozen_media,
            "pref_beta": 0.1,
            "pref_loss": "sigmoid",
            "template": "llava",
            "default_system": "",  # the others get none either
            "dataset": "pairs",
            "dataset_dir": str(args.folder),
            "media_dir": str(args.folder),
            "cutoff_len": args.cutoff,
            "output_dir": str(args.folder / "out"),
            "per_device_train_batch_size": args.pairs,
            "gradient_accumulation_steps": 1,
            "learning_rate": 1e-6,
            "max_steps": args.steps,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "use_cpu": True,
            "bf16": False,
            "disable_gradient_checkpointing": not args.checkpoint,
            "overwrite_cache": True,
        },
        callbacks=[OneByOne(answers)],
    )


if __name__ == "__main__":
    main()
