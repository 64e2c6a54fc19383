"""The same command line on real photographs and on a real data file of another project."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForImageTextToText

from boresight.data.construct.cropped_picture import cropped_pair
from boresight.data.importing import plan_import, run_import
from boresight.data.store import Store
from boresight.data.store_writer import StoreWriter
from boresight.media.image import decode_image
from boresight.models.chat import Decoding, Request
from boresight.models.fake import FakeShape, fake_llava
from boresight.models.generate import generate
from boresight.models.loading import load_policy
from boresight.studies.prompts import request
from boresight.training.pictures import PictureCache

STEPS = 10


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LLaVA-1.5's configuration classes and picture size, with random weights and few of them."""
    folder = tmp_path_factory.mktemp("llava")
    shape = FakeShape(hidden=32, layers=2, heads=4, image_px=336, patch_px=56, max_tokens=4096)
    model, processor = fake_llava(shape)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def photographs(fixtures_dir: Path, model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Image-side pairs of 20 photographs: the model's own answer under the whole picture and under a small crop."""
    work = tmp_path_factory.mktemp("photographs")
    prompts = [
        json.loads(line) for line in (fixtures_dir / "images" / "detail_test_30_input.jsonl").read_text().splitlines()
    ]
    names = {path.name: path for path in (fixtures_dir / "images" / "real").iterdir()}
    asked = [(row["image_path"].split("__")[-1], row["question"]) for row in prompts]
    rows = [(name, question) for name, question in asked if name in names]
    assert len(rows) == 20
    answers = _own_answers(model_folder, [(names[name], question) for name, question in rows])
    data = work / "answers.jsonl"
    data.write_text(
        "".join(
            json.dumps(
                {
                    "id": name,
                    "image": name,
                    "conversations": [
                        {"from": "human", "value": f"<image>\n{question}"},
                        {"from": "gpt", "value": answer},
                    ],
                }
            )
            + "\n"
            for (name, question), answer in zip(rows, answers, strict=True)
        )
    )
    summary = run_import(plan_import(data, media_root=fixtures_dir / "images" / "real"), work / "answers")
    assert (summary.stored, summary.quarantined) == (20, 0)
    store = Store.open(work / "answers")
    pictures = PictureCache(store.read)
    with StoreWriter(work / "pairs") as writer:
        for record in store:
            for medium in record.media:
                writer.add_media(store.read(medium))
            writer.add(cropped_pair(record, pictures, writer.add_media))
        writer.finish()
    return work / "pairs"


def test_dpo_on_photographs_stops_resumes_and_reports(photographs: Path, model_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    stopped = _start(model_folder, photographs, out)
    _wait_for_steps(out, 2, stopped)
    stopped.send_signal(signal.SIGINT)
    _, told = stopped.communicate(timeout=120)
    assert stopped.returncode == 4, told
    assert "--resume" in told
    resumed = _start(model_folder, photographs, out, "--resume")
    printed, told = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, told
    steps = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [step["step"] for step in steps] == list(range(1, STEPS + 1))
    assert steps[0]["loss"] == pytest.approx(0.6931, abs=1e-3)  # log 2: the policy still is its reference
    assert steps[-1]["margin"] > 0.0  # the whole picture wins against the crop
    page = (out / "report.html").read_text()
    assert "margin" in page and "data:image/" in page
    assert AutoModelForImageTextToText.from_pretrained(out / "model").config.model_type == "llava"
    assert "report:" in printed


def test_mdpo_draws_its_own_crops_of_the_same_photographs(
    photographs: Path, model_folder: Path, tmp_path: Path
) -> None:
    done = _start(model_folder, photographs, tmp_path / "out", "--set", "stages.0.epochs=1", method="mdpo")
    _, told = done.communicate(timeout=300)
    assert done.returncode == 0, told
    (first, *_) = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    assert set(json.loads(first)["terms"]) == {"chosen>rejected", "chosen>chosen@cropped", "anchor(chosen)"}


def test_dpo_on_a_real_file_of_another_project(fixtures_dir: Path, model_folder: Path, tmp_path: Path) -> None:
    data = fixtures_dir / "formats" / "llama_factory" / "v1_dpo_demo.jsonl"
    done = _start(model_folder, data, tmp_path / "out", "--set", "stages.0.epochs=1")
    _, told = done.communicate(timeout=300)
    assert done.returncode == 0, told
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["data"]["records"] == 10
    assert manifest["data"]["sources"][0]["format"] == "llama_factory_v1"
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000


def _own_answers(model_folder: Path, asked: list[tuple[Path, str]]) -> list[str]:
    policy = load_policy(model_folder)
    requests: list[Request] = [
        request(str(i), question, decode_image(path.read_bytes()).image) for i, (path, question) in enumerate(asked)
    ]
    answers = generate(policy, requests, Decoding(max_new_tokens=12, temperature=1.0, batch_size=10))
    return [answer.text.replace("\x00", " ") or "a picture" for answer in answers]


def _start(model: Path, data: Path, out: Path, *more: str, method: str = "dpo") -> subprocess.Popen[str]:
    settings = {
        "stages.0.batch_items": "4",
        "stages.0.epochs": str(STEPS * 4 / 18),
        "stages.0.learning_rate": "3e-4",
        "run.checkpoint_every": "1",
        "run.device": "cpu",
    }
    command: list[Any] = [
        sys.executable, "-m", "boresight.cli.main", "align", "--model", model, "--data", data, "--method", method,
        "--out", out, "--max-new-tokens", "6", *(a for k, v in settings.items() for a in ("--set", f"{k}={v}")), *more,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def _wait_for_steps(out: Path, count: int, process: subprocess.Popen[str]) -> None:
    metrics = out / "metrics.jsonl"
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        if metrics.exists() and metrics.read_text().count("\n") >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"no {count} steps: {process.communicate()[1]}")
