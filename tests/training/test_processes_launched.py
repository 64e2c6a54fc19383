"""`boresight align` in two processes, as a launcher starts them: one result, one voice, one end."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from boresight import registry
from boresight.data.store_writer import StoreWriter
from boresight.methods.dpo import MEMBER as DPO
from boresight.records import Candidate, Message, Part, Preference, Record
from boresight.training.align import Job, align
from boresight.training.spec import Method, Precision, RunSettings, override
from engine_examples import TINY, fake_llava

SETTINGS = {"stages.0.epochs": "2", "stages.0.batch_items": "4", "stages.0.learning_rate": "1e-3"}
STAGES = '''
"""Own answers first, then two rounds of pairs with an adapter that is merged in between."""

from boresight.objectives import Objective, nll, pairwise, view
from boresight.training.spec import Data, Method, Stage
from boresight.models.loading import Lora

CHOSEN, REJECTED = view("chosen"), view("rejected")
SMALL = {"learning_rate": 1e-3, "batch_items": 4, "epochs": 1.0}
SFT = Stage(name="sft", objective=Objective((nll(CHOSEN),)), data=Data(reads="singles"), frozen=(), **SMALL)
MEMBER = Method(
    objective=Objective((pairwise(CHOSEN, REJECTED, beta=0.5),)),
    stages=(SFT, Stage(name="dpo", rounds=2, lora=Lora(rank=2), **SMALL)),
)
'''
WATCHED = """
import atexit, sys
from pathlib import Path

def say():
    import torch
    names = [file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")]
    print("at exit:", torch.distributed.is_initialized(), sum("gloo" in name for name in names))

atexit.register(say)  # the first to be registered is the last to be called

from boresight.cli.main import main
main()
"""
ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


def say(role: str, words: str) -> tuple[Message, ...]:
    return (Message(role=role, parts=(Part(type="text", text=words),)),)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_jobs(tmp_path_factory.mktemp("launched"))


def write_jobs(folder: Path) -> Path:
    """Gives a folder a model and two stores: `good`, and `bad` with one row that no model can take."""
    model, processor = fake_llava(TINY)
    model.double().save_pretrained(folder / "model")
    processor.save_pretrained(folder / "model")
    for name, special in (("good", None), ("bad", 5)):
        with StoreWriter(folder / name) as writer:
            for number in range(12):
                words = "a <image>" if number == special else f"a red circle {number}"
                writer.add(
                    Record(
                        id=f"r{number}",
                        task="preference",
                        messages=say("user", "is the sky clear"),
                        candidates=(
                            Candidate(id="a", messages=say("assistant", words)),
                            Candidate(id="b", messages=say("assistant", f"the dog is on the road {number}")),
                        ),
                        preferences=(Preference(chosen="a", rejected="b"),),
                    )
                )
            writer.finish()
    return folder


def arguments(folder: Path, out: Path, *more: str, data: str = "good") -> list[str]:
    sets = [f"--set={path}={value}" for path, value in SETTINGS.items()]
    return [*plain_arguments(folder, out, data), "--method", "dpo", *sets, *more]


def plain_arguments(folder: Path, out: Path, data: str = "good") -> list[str]:
    files = ["--model", str(folder / "model"), "--data", str(folder / data), "--out", str(out)]
    return ["align", "--holdout", "0", "--samples", "0", "--set=run.precision=float64", *files]


def start_two(port: int, *arguments: str, program: Sequence[str] = ("-m", "boresight")) -> list[subprocess.Popen[str]]:
    common = {**ENVIRONMENT, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    common |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [
        subprocess.Popen(
            [sys.executable, *program, *arguments],
            env={**common, "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]


@pytest.fixture
def port() -> int:
    """Outside the range from which the system takes its own."""
    return 20_000 + (os.getpid() * 7 + time.monotonic_ns() // 1000) % 10_000


def dpo() -> Method:
    method: Method = DPO
    for path, value in SETTINGS.items():
        method = override(method, path, value)
    return method


def alone(folder: Path, out: Path, method: Method, precision: Precision = "float64") -> Path:
    """Where the model lies that one process makes of the same job."""
    aligned = align(
        Job(
            model=str(folder / "model"),
            sources=(folder / "good",),
            method_name="dpo",
            method=method,
            out=out,
            settings=RunSettings(device="cpu", precision=precision),
            holdout=0.0,
            samples=0,
        )
    )
    AcceleratorState._reset_state(reset_partial_state=True)
    return aligned.model


def assert_close(first_file: Path, second_file: Path, tolerance: float = 1e-11) -> None:
    first, second = load_file(first_file), load_file(second_file)
    assert first.keys() == second.keys()
    assert max(float((first[name] - second[name]).abs().max()) for name in first) <= tolerance


def test_a_launcher_trains_to_the_model_of_one_process_and_speaks_once(folder: Path, tmp_path: Path) -> None:
    """`--multi_gpu` is accelerate's name for several processes, accelerators or not."""
    launch = ["launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"]
    done = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.accelerate_cli", *launch, "--dynamo_backend", "no", "-m",
         "boresight", *arguments(folder, tmp_path / "two")],
        env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("step     1/6") == 1 and done.stdout.count("report: ") == 1
    steps = [json.loads(line)["step"] for line in (tmp_path / "two" / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6]
    one = alone(folder, tmp_path / "one", dpo())
    assert_close(tmp_path / "two" / "model" / "model.safetensors", one / "model.safetensors")


def test_two_processes_go_through_stages_and_rounds_as_one_does(folder: Path, tmp_path: Path, port: int) -> None:
    file = tmp_path / "stages.py"
    file.write_text(STAGES)
    two = tmp_path / "two"
    first, second = start_two(port, *plain_arguments(folder, two), "--method", str(file))
    told, silent = first.communicate(timeout=300), second.communicate(timeout=300)
    assert (first.returncode, second.returncode) == (0, 0), (told, silent)
    one = alone(folder, tmp_path / "one", registry.load("boresight.methods", str(file)))
    assert_close(two / "model" / "adapter_model.safetensors", one / "adapter_model.safetensors")
    for name in ("sft", "dpo.1"):
        model = Path("train") / name / "model" / "model.safetensors"
        assert_close(two / model, tmp_path / "one" / model)


def test_sigterm_to_one_of_two_ends_both_with_status_4_and_a_checkpoint(
    folder: Path, tmp_path: Path, port: int
) -> None:
    out = tmp_path / "out"
    endless = ("--set", "stages.0.epochs=400", "--set", "run.checkpoint_every=100000")
    first, second = start_two(port, *arguments(folder, out, *endless))
    waited_until = time.monotonic() + 120
    while not (out / "metrics.jsonl").exists() and time.monotonic() < waited_until:
        time.sleep(0.1)
    second.send_signal(signal.SIGTERM)
    told, silent = first.communicate(timeout=120), second.communicate(timeout=120)
    assert (first.returncode, second.returncode) == (4, 4), (told, silent)
    assert told[1].count("go on with the same command and --resume") == 1
    assert silent == ("", "")
    assert len(list((out / "checkpoints").glob("step-*"))) == 1


def test_a_bad_row_in_the_share_of_the_second_ends_both_with_one_message(
    folder: Path, tmp_path: Path, port: int
) -> None:
    first, second = start_two(port, *arguments(folder, tmp_path / "out", data="bad"))
    told, silent = first.communicate(timeout=120), second.communicate(timeout=120)
    assert (first.returncode, second.returncode) == (2, 2)
    assert told[1].count("text holds '<image>'") == 1
    assert silent == ("", "")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="names of threads are read from /proc")
@pytest.mark.parametrize(("data", "status"), [("good", 0), ("bad", 2)])
def test_no_thread_of_gloo_outlives_the_interpreter(
    folder: Path, tmp_path: Path, port: int, data: str, status: int
) -> None:
    """Else one in some hundred runs aborts at the end of its work, by the moment at which it drops a tensor."""
    both = start_two(port, *arguments(folder, tmp_path / "out", data=data), program=("-c", WATCHED))
    told = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [status, status], told
    assert [out.splitlines()[-1] for out, _ in told] == ["at exit: False 0"] * 2


def test_a_folder_in_use_is_refused_by_both_with_one_message(folder: Path, tmp_path: Path, port: int) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with (out / "run.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        first, second = start_two(port, *arguments(folder, out))
        told, silent = first.communicate(timeout=120), second.communicate(timeout=120)
    assert (first.returncode, second.returncode) == (2, 2)
    assert told[1].count("is in use by another run") == 1
    assert silent == ("", "")
