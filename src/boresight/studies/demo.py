"""The main job on the built-in world: build pairs, align, evaluate, and say what changed.

Every phase leaves whole files behind and is skipped when they are there, so a demo that was stopped goes on.
"""

from __future__ import annotations

import dataclasses
import io
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

import boresight
from boresight import registry
from boresight.benchmarks import scenes_describe, scenes_yes_no
from boresight.benchmarks._benchmark import Response, Task
from boresight.data.construct.own_samples import Sample, record_from_samples
from boresight.data.store import Store, is_store
from boresight.data.store_writer import StoreWriter
from boresight.errors import UsageError
from boresight.files import lock, write_whole
from boresight.media.transforms import null
from boresight.models.chat import Decoding
from boresight.models.generate import generate
from boresight.models.loading import load_policy
from boresight.models.policy import Policy
from boresight.records import Media, to_json
from boresight.scoring import Ratio, answers, descriptions, results_table, write_results
from boresight.scoring.results import BASE
from boresight.studies.prompts import request
from boresight.studies.respond import Progress
from boresight.training.align import Job, align
from boresight.training.health import HealthWarning, length_collapse
from boresight.training.items import ItemEncoder
from boresight.training.making_items import make_items
from boresight.training.manifest import write_manifest
from boresight.training.measure import preference_ratios
from boresight.training.metrics import append_row
from boresight.training.pictures import PictureCache
from boresight.training.run_log import Listener
from boresight.training.spec import Method, RunSettings, override, to_jsonable

NANO = Path(boresight.__file__).parent / "models" / "nano"
"""The vision-language model that ships in the package."""
METHODS = ("dpo", "mdpo")
_BATCH = 64  # held-out scenes answered at once

# The methods' own settings are meant for billions of weights. These were chosen on validation scenes: a higher rate or
# a second epoch removes more false objects and loses true ones with them.
_LEARNING_RATE = 8e-5
_BATCH_PAIRS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """Sizes of the demo. The defaults are what the README's figures were measured with."""

    out: Path
    model: str = str(NANO)
    methods: tuple[str, ...] = METHODS
    seed: int = 0
    train_scenes: int = 600
    """Scenes whose samples become training pairs."""
    samples: int = 6
    """Responses sampled per scene."""
    held_out_pair_scenes: int = 100
    """Scenes whose samples become pairs to measure margins on."""
    test_scenes: int = 500
    """Scenes never trained on, described and questioned before and after."""
    settings: RunSettings = field(
        default_factory=lambda: RunSettings(device="cpu", reference="cached", checkpoint_every=25, probe_every=10)
    )


def shortened(demo: Demo) -> Demo:
    """The same demo at about a tenth of the size: every part runs, the intervals are wide."""
    return dataclasses.replace(demo, train_scenes=64, samples=4, held_out_pair_scenes=24, test_scenes=50)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """The benchmarks' tasks, made once."""

    describe: Sequence[Task]
    yes_no: Sequence[Task]


def run_demo(demo: Demo, listener: Listener | None = None) -> Path:
    """Run or finish the demo; gives its folder, with `results.json` and everything a report needs.

    Raises:
        RunLockedError: If another process works on the same folder.
        UsageError: If the folder holds a demo of another size, seed or model.
    """
    listener = listener or Listener()
    with lock(demo.out):
        _claim(demo)
        finished = (demo.out / "results.json").exists() and (demo.out / "manifest.json").exists()
        return demo.out if finished else _run(demo, listener)


def _claim(demo: Demo) -> None:
    """Parts are reused by name, so one folder belongs to one demo."""
    path = demo.out / "demo.json"
    mine = json.dumps({k: v for k, v in to_jsonable(demo).items() if k != "out"}, indent=1)
    if path.exists() and path.read_text(encoding="utf-8") != mine:
        raise UsageError(f"{demo.out} holds a demo of another size, seed or model; choose another --out.")
    write_whole(path, mine)


def _run(demo: Demo, listener: Listener) -> Path:
    clock = _Clock()
    base = load_policy(demo.model)
    for split, count in (("train", demo.train_scenes), ("validation", demo.held_out_pair_scenes)):
        with clock.phase(f"pairs_{split}"):
            _build_pairs(demo, base, split, count, listener.work)
    bench = _Bench(
        describe=list(scenes_describe.tasks("test", demo.test_scenes)),
        yes_no=list(scenes_yes_no.tasks("test", demo.test_scenes)),
    )
    metrics: dict[str, dict[str, Ratio]] = {}
    with clock.phase("evaluate_base"):
        metrics[BASE] = _evaluate(demo, base, BASE, bench, listener.work)
    methods = {name: for_nano(registry.load("boresight.methods", name)) for name in demo.methods}
    for name, method in methods.items():
        with clock.phase(f"train_{name}"):
            policy = _train(demo, name, method, listener)
        with clock.phase(f"evaluate_{name}"):
            metrics[name] = _evaluate(demo, policy, name, bench, listener.work)
    _warn_of_collapse(demo, metrics, listener)
    write_results(demo.out / "results.json", results_table(metrics))
    write_manifest(demo.out, "Boresight demo: scenes", _facts(demo, methods, clock))
    return demo.out


def _build_pairs(demo: Demo, policy: Policy, split: str, count: int, progress: Progress) -> None:
    """Sample the base model, let the oracle judge, keep the scenes where one sample is better than another."""
    out = demo.out / "data" / split
    if is_store(out):
        return
    tasks = list(scenes_describe.tasks(split, count))
    max_new_tokens = scenes_describe.MEMBER.max_new_tokens
    decoding = Decoding(max_new_tokens=max_new_tokens, temperature=1.0, seed=demo.seed, batch_size=96)
    requests = [request(f"{task.id}/{n}", task.prompt, _picture(task)) for task in tasks for n in range(demo.samples)]
    what = f"sampling {demo.samples} answers to each of {count} {split} scenes"
    responses = iter(generate(policy, requests, decoding, lambda done, total: progress(what, done, total)))
    with StoreWriter(out, source={"world": "scenes", "split": split, "model": Path(demo.model).name}) as writer:
        for task in tasks:
            samples = [_judged(task, next(responses).text) for _ in range(demo.samples)]
            sha256 = writer.add_media(_png(task))
            picture = Media(
                id="picture",
                kind="image",
                sha256=sha256,
                mime="image/png",
                width_px=_picture(task).width,
                height_px=_picture(task).height,
            )
            record = record_from_samples(
                task.id,
                task.prompt,
                picture,
                samples,
                model=Path(demo.model).name,
                sampling={"temperature": decoding.temperature, "seed": float(demo.seed)},
                pipeline="demo",
            )
            if record is not None:
                writer.add(record)
        writer.finish()


def _judged(task: Task, text: str) -> Sample:
    response = Response(id=task.id, group=task.group, text=text, fields=task.fields)
    counts = scenes_describe.counts(response)
    return Sample(
        text=text,
        covered=counts.covered,
        false_mentions=counts.false_mentions,
        spans=scenes_describe.claims(response),
    )


def _train(demo: Demo, name: str, method: Method, listener: Listener) -> Policy:
    folder = demo.out / "train" / name
    model = folder / "model"
    if model.exists():
        return load_policy(model)
    job = Job(
        model=demo.model,
        sources=(demo.out / "data" / "train",),
        method_name=name,
        method=method,
        out=folder,
        settings=dataclasses.replace(demo.settings, seed=demo.seed),
        holdout=0.0,
        max_new_tokens=96,
        resume=True,
        reference_folder=demo.out / "reference",
    )
    return align(job, listener).policy


def _evaluate(demo: Demo, policy: Policy, run: str, bench: _Bench, progress: Progress) -> dict[str, Ratio]:
    described = _answers(
        policy,
        bench.describe,
        demo.out / "responses" / f"{run}.jsonl",
        scenes_describe.MEMBER.max_new_tokens,
        partial(progress, f"{run}: describing {len(bench.describe)} held-out scenes"),
        shown=lambda task, said: {
            "image": _keep_picture(demo.out, task),
            "claims": [to_json(span) for span in scenes_describe.claims(said)],
        },
    )
    said = {}
    for blank in (False, True):
        what = f"{run}: answering {len(bench.yes_no)} questions{' about blank pictures' if blank else ''}"
        said[blank] = _answers(
            policy,
            bench.yes_no,
            demo.out / "answers" / f"{run}{'@null' if blank else ''}.jsonl",
            scenes_yes_no.MEMBER.max_new_tokens,
            partial(progress, what),
            blank=blank,
        )
    found = descriptions([scenes_describe.counts(response) for response in described])
    found |= answers([scenes_yes_no.read(response) for response in said[False]])
    blank_answers = answers([scenes_yes_no.read(response) for response in said[True]])
    found |= {f"{name}@null": ratio for name, ratio in blank_answers.items()}
    found |= _margins(demo, policy)
    return found


def _answers(
    policy: Policy,
    tasks: Sequence[Task],
    path: Path,
    max_new_tokens: int,
    progress: Callable[[int, int], None],
    *,
    blank: bool = False,
    shown: Callable[[Task, Response], Mapping[str, Any]] = lambda task, said: {},
) -> list[Response]:
    """Greedy answers to all tasks, stored as the report reads them; a whole file of an earlier run is read instead.

    Args:
        blank: Whether the pictures are replaced by an empty one of their size.
        shown: What the report shows besides the words.
    """
    if path.exists():
        rows = [json.loads(text) for text in path.read_text(encoding="utf-8").split("\n") if text]
        return [_response(task, row) for task, row in zip(tasks, rows, strict=True)]
    empty = null.MEMBER()
    pictures = [empty(_picture(task), seed=0) if blank else _picture(task) for task in tasks]
    requests = [request(task.id, task.prompt, picture) for task, picture in zip(tasks, pictures, strict=True)]
    decoding = Decoding(max_new_tokens=max_new_tokens, batch_size=_BATCH)
    rows, responses = [], []
    for task, said in zip(tasks, generate(policy, requests, decoding, progress), strict=True):
        row = {
            "item_id": task.id,
            "group": task.group,
            "prompt": task.prompt,
            "response": said.text,
            "num_tokens": said.num_tokens,
            "status": said.status,
            "target": task.fields.get("target"),
        }
        responses.append(_response(task, row))
        rows.append({**row, **shown(task, responses[-1])})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return responses


def _response(task: Task, row: Mapping[str, Any]) -> Response:
    return Response(
        id=task.id,
        group=task.group,
        text=row["response"],
        status=row["status"],
        num_tokens=row["num_tokens"],
        fields=task.fields,
    )


def _margins(demo: Demo, policy: Policy) -> dict[str, Ratio]:
    store = Store.open(demo.out / "data" / "validation")
    encoder = ItemEncoder(encoder=policy.encoder, pictures=PictureCache(store.read))
    return preference_ratios(policy, make_items(store, ["chosen", "rejected"]), encoder)


def _warn_of_collapse(demo: Demo, metrics: Mapping[str, Mapping[str, Ratio]], listener: Listener) -> None:
    """A model that says nothing makes nothing up; that must not look like a success."""
    base = _mean(metrics[BASE]["length_tokens"])
    for run in demo.methods:
        now, empty = _mean(metrics[run]["length_tokens"]), _mean(metrics[run]["empty_rate"])
        message = length_collapse(now, base, empty)
        if message:
            warning = HealthWarning(name="length_collapse", step=0, message=message)
            append_row(demo.out / "train" / run / "health.jsonl", dataclasses.asdict(warning))
            listener.warning(warning)


def _facts(demo: Demo, methods: Mapping[str, Method], clock: _Clock) -> dict[str, Any]:
    stores = {split: Store.open(demo.out / "data" / split) for split in ("train", "validation")}
    return {
        "seed": demo.seed,
        "spec": {
            "demo": {k: v for k, v in to_jsonable(demo).items() if k not in ("out", "model", "settings")},
            "run": to_jsonable(demo.settings),
            "methods": {name: to_jsonable(method) for name, method in methods.items()},
        },
        "data": {split: {"pairs": len(s), "fingerprint": s.fingerprint} for split, s in stores.items()},
        "seconds": clock.seconds,
    }


def for_nano(method: Method) -> Method:
    """The method at the nano model's size: one pass over the pairs in all, whatever stages and rounds it has."""
    share = 1 / len(method.runs())
    for number, stage in enumerate(method.stages):
        halves = 2 if (stage.data or method.data).reads == "unpaired" else 1  # both sides of a pair are items
        settings = {
            "learning_rate": _LEARNING_RATE,
            "epochs": share,
            "batch_items": halves * _BATCH_PAIRS,
            "lora": None,
        }
        for name, value in settings.items():
            method = override(method, f"stages.{number}.{name}", json.dumps(value))
    return method


def _keep_picture(folder: Path, task: Task) -> str:
    path = folder / "pictures" / f"{task.id}.png"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(_png(task))
    return f"pictures/{path.name}"


def _png(task: Task) -> bytes:
    buffer = io.BytesIO()
    _picture(task).save(buffer, "PNG")
    return buffer.getvalue()


def _picture(task: Task) -> Image.Image:
    (picture,) = task.media
    assert isinstance(picture, Image.Image)  # a world draws
    return picture


def _mean(ratio: Ratio) -> float:
    return sum(ratio.numerators) / max(1.0, sum(ratio.denominators))


class _Clock:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - began, 1)
