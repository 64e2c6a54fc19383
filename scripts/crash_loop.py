"""Kill a training run with SIGKILL at random moments, let it go on, and compare with a run that was left in peace.

    python scripts/crash_loop.py [--kills 50] [--seed 0] [--out docs/proofs/crash_loop.json]

A run of 30 steps writes a checkpoint after each. Every process is forked from this one, which has imported
everything but trained nothing, and is killed after a random share of the time that a whole run takes. Prints one
JSON object; exit status 1 unless the final weights are equal bit by bit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from boresight.files import lock
from boresight.models.fake import FakeShape, fake_llava
from boresight.models.loading import make_policy
from boresight.objectives import Objective, pairwise, view
from boresight.records import Media, Message, Part, Record
from boresight.training.items import Item, ItemEncoder
from boresight.training.loop import Trainer
from boresight.training.spec import Method, RunSettings, Stage

STEPS = 30
METHOD = Method(
    objective=Objective((pairwise(view("chosen"), view("rejected"), beta=0.5),)),
    stages=(Stage(learning_rate=1e-3, batch_items=2, epochs=STEPS * 2 / 6, frozen=()),),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)  # threads do not survive a fork
    with tempfile.TemporaryDirectory() as folder:
        found = kill_and_resume(Path(folder), args.kills, args.seed)
    command = f"python scripts/crash_loop.py --kills {args.kills} --seed {args.seed}"
    text = json.dumps({"command": command, **found}, indent=1)
    print(text)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text + "\n")
    return 0 if found["final_weights_equal"] else 1


def kill_and_resume(root: Path, kills: int, seed: int) -> dict[str, Any]:
    """Train once in peace, then again under SIGKILLs; gives what happened."""
    draw = random.Random(seed)
    began = time.monotonic()
    expected = finish(root / "peaceful")
    seconds = time.monotonic() - began
    folder = root / "killed"
    steps: list[int] = []
    restarts = leftovers = 0
    while len(steps) < kills:
        child = start(folder)
        time.sleep(draw.uniform(0.1, 0.7) * seconds)
        os.kill(child, signal.SIGKILL)  # it is not reaped before, so the id cannot be another's
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):  # it was done before its kill: begin anew, so that every kill hits work
            if os.waitstatus_to_exitcode(status):
                raise RuntimeError(f"training ended with status {status} instead of going on")
            restarts += 1
            shutil.rmtree(folder)
            continue
        steps.append(newest_step(folder))
        leftovers += any((folder / "checkpoints").glob(".*"))
    return {
        "kills": len(steps),
        "steps": STEPS,
        "final_weights_equal": finish(folder) == expected,
        "log_has_every_step_once": logged_steps(folder) == list(range(1, STEPS + 1)),
        "newest_step_after_each_kill": steps,
        "kills_that_left_half_a_checkpoint": leftovers,
        "runs_begun_anew": restarts,
        "seconds_of_one_run": round(seconds, 2),
        "versions": {"torch": torch.__version__, "python": sys.version.split()[0]},
    }


def finish(folder: Path) -> str:
    """Train to the end; gives the hash of the final weights."""
    _, status = os.waitpid(start(folder), 0)
    if status:
        raise RuntimeError(f"training in {folder} ended with status {status}")
    return (folder / "digest").read_text()


def start(folder: Path) -> int:
    """Fork a process that trains; gives its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        train(folder)
        code = 0
    finally:
        os._exit(code)  # nothing of the parent may run in the child


def train(folder: Path) -> None:
    """Begin or go on, and leave a hash of the final weights in the folder."""
    model, processor = fake_llava(FakeShape(hidden=32))
    policy = make_policy(model, processor)
    encoder = ItemEncoder(encoder=policy.encoder, pictures=picture)
    settings = RunSettings(device="cpu", checkpoint_every=1)
    with lock(folder):
        Trainer(policy, METHOD, make_items(), encoder, settings, folder).run(resume=True)
    digest = hashlib.sha256()
    for name, parameter in sorted(policy.model.named_parameters()):
        digest.update(name.encode())
        digest.update(parameter.detach().contiguous().numpy().tobytes())
    (folder / "digest").write_text(digest.hexdigest())


def make_items() -> list[Item]:
    return [
        Item(
            id=f"item-{i}",
            record=Record(
                id=f"item-{i}",
                task="preference",
                messages=(turn("user", Part(type="media", media="p"), Part(type="text", text="describe it")),),
                media=(Media(id="p", kind="image", sha256=f"{i:064x}"),),
            ),
            texts={
                "chosen": (turn("assistant", Part(type="text", text="a red circle " * (1 + i % 3))),),
                "rejected": (turn("assistant", Part(type="text", text=f"the blue square {i}")),),
            },
        )
        for i in range(6)
    ]


def turn(role: str, *parts: Part) -> Message:
    return Message(role=role, parts=parts)


def picture(medium: Media) -> Image.Image:
    return Image.frombytes("RGB", (28, 28), random.Random(medium.sha256).randbytes(3 * 28 * 28))


def newest_step(folder: Path) -> int:
    names = sorted(p.name for p in (folder / "checkpoints").glob("step-*"))
    return int(names[-1].removeprefix("step-")) if names else 0


def logged_steps(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


if __name__ == "__main__":
    sys.exit(main())
