"""One alignment from data to a saved model: load, check, measure, train, measure again."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from boresight.data.loading import Loaded, load_records
from boresight.errors import InputError, UsageError
from boresight.files import lock, write_whole
from boresight.media.decoded import shown_to_people
from boresight.media.resolver import Resolver
from boresight.media.seeds import derive_seed
from boresight.models.chat import Decoding, Request
from boresight.models.device import pick_device
from boresight.models.generate import generate
from boresight.models.loading import Precision, load_policy
from boresight.models.policy import Policy
from boresight.objectives import CLEAN, Objective, View, rehearse
from boresight.records import Media, Record
from boresight.scoring import Ratio, results_table, write_results
from boresight.scoring.results import BASE
from boresight.training.export import merge, save_model
from boresight.training.items import Item, ItemEncoder, what_is_shown
from boresight.training.loop import Trainer, TrainResult
from boresight.training.making_items import make_items
from boresight.training.manifest import write_manifest
from boresight.training.measure import preference_ratios
from boresight.training.pictures import PictureCache
from boresight.training.processes import Together, meet
from boresight.training.run_log import Listener
from boresight.training.spec import Method, RunSettings, check_together, to_jsonable

_LONG = 1_000_000  # tokens, more than any answer has


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to align, on what, and where to put it."""

    model: str
    """Folder, or an id that transformers can resolve."""
    sources: tuple[Path, ...]
    """Stores or data files in any known layout, for every stage that has none of its own."""
    stage_sources: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    """Sources of one stage (`sft`) or of one round of it (`dpo.2`)."""
    method_name: str
    method: Method
    method_about: str = ""
    """What the method is and where it was published, for the manifest."""
    out: Path
    settings: RunSettings = field(default_factory=RunSettings)
    pairing: str = "preferences"
    media_root: Path | None = None
    allow_outside: bool = False
    """Whether media may lie outside the data's own folder."""
    holdout: float = 0.1
    """Share of the records that is never trained on, to measure on; in [0, 1)."""
    samples: int = 6
    """Held-out prompts that are answered before and after; 0 turns it off."""
    max_new_tokens: int = 256
    resume: bool = False
    merge: bool = True
    """Whether a trained adapter is also written merged into its model."""
    reference_folder: Path | None = None
    """Where cached reference values lie; under `out` if not given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """A finished job."""

    out: Path
    model: Path
    merged: Path | None
    """The model with its adapter merged in, where there is one."""
    policy: Policy
    train: TrainResult
    """Of the last stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One stage and round of a job: a run of its own that starts from what the leg before left."""

    method: Method
    model: str
    """What it starts from."""
    folder: Path
    settings: RunSettings
    loaded: Sequence[Loaded]
    train: Sequence[Record]
    held_out: Sequence[Record]
    items: Sequence[Item]

    @property
    def name(self) -> str:
        return self.method.stages[0].name

    @property
    def saved(self) -> Path:
        """Where its model goes, whole or not at all."""
        return self.folder / "model"

    @property
    def data(self) -> dict[str, Any]:
        """What the manifest says about its data."""
        return {
            "sources": [{"path": str(s.source), "format": s.format, "fingerprint": s.fingerprint} for s in self.loaded],
            "records": len(self.train) + len(self.held_out),
            "trained_on": len(self.train),
            "held_out": len(self.held_out),
            "licenses": dict(
                Counter(r.provenance.license for r in self.train if r.provenance and r.provenance.license)
            ),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A leg whose model and first items have been checked; ready to train."""

    leg: Leg
    trainer: Trainer
    policy: Policy
    encoder: ItemEncoder


def align(job: Job, listener: Listener | None = None) -> Aligned:
    """Carry a job through, stage by stage. All data are checked before the first training step.

    Raises:
        InputError: Data that cannot be used; names file, row and fix.
        ModelError: The model cannot do what the data need.
        RunLockedError: Another run writes to the same folder.
    """
    is_main = meet(job.settings.device)
    with Together(), lock(job.out) if is_main else nullcontext():
        return _align(job, (listener if is_main else None) or Listener(), is_main=is_main)


def prepare(job: Job, listener: Listener, stage: str | None = None) -> Prepared:
    """Load and check everything that a job needs up to its first training step, preflight included.

    Args:
        stage: Look at this stage or round (`dpo.2`) instead of the first; the job's model stands for what the stages
            before it would train.

    Raises:
        BoresightError: As `align`.
        UsageError: If the method has no such stage.
    """
    legs = {leg.name: dataclasses.replace(leg, model=job.model) for leg in plan_legs(job)}
    name = next(iter(legs)) if stage is None else stage
    if name not in legs:
        raise UsageError(f"--stage {name}: the method has {', '.join(legs)}.")
    return _prepare(job, legs[name], listener)


def plan_legs(job: Job) -> tuple[Leg, ...]:
    """The runs that a job is made of; reads all data and makes all items.

    Raises:
        UsageError: If settings cannot work together, or sources are given for a stage that the method does not have.
        InputError: Data that cannot be used; names file, row and fix.
    """
    runs = job.method.runs()
    names = [run.stages[0].name for run in runs]
    for run in runs:
        check_together(run, job.settings, has_adapter=run.stages[0].lora is not None)
    unknown = set(job.stage_sources) - {*names, *(stage.name for stage in job.method.stages)}
    if unknown:
        raise UsageError(
            f"--data names stage {sorted(unknown)[0]!r}; the method has {', '.join(dict.fromkeys(names))}."
        )
    sources = {name: _sources(job, name) for name in names}
    loaded = {
        paths: load_all(paths, media_root=job.media_root, allow_outside=job.allow_outside)
        for paths in dict.fromkeys(sources.values())
    }
    everything = {r.id: r for found in loaded.values() for source in found for r in source.records}
    held = {record.id for record in split(list(everything.values()), job.holdout, job.settings.seed)[1]}
    legs: list[Leg] = []
    for number, run in enumerate(runs):
        found = loaded[sources[names[number]]]
        files = _files(found)
        records = [record for source in found for record in source.records]
        train = [record for record in records if record.id not in held]
        objective = run.objective
        rehearse(objective, weighs=run.token_weights is not None)
        items = make_items(train, objective.texts, job.pairing, files, reads=run.data.reads, signals=objective.signals)
        _check_terms(run, items)
        legs.append(
            Leg(
                method=run,
                model=str(legs[-1].saved) if legs else job.model,
                folder=job.out if len(runs) == 1 else job.out / "train" / names[number],
                settings=dataclasses.replace(job.settings, seed=job.settings.seed + number),
                loaded=found,
                train=train,
                held_out=[record for record in records if record.id in held],
                items=items,
            )
        )
    return tuple(legs)


def _check_terms(method: Method, items: Sequence[Item]) -> None:
    """A term that no item can feed is a mistake in its name, or belongs to other data.

    Raises:
        UsageError: Names the term, and the texts that there are, or the inputs that no item's media allow.
    """
    objective = method.objective
    has = {v: torch.tensor([int(v.text in item.texts) for item in items]) for v in objective.views}
    can_show = {
        v: torch.tensor([int(what_is_shown(item, v, method.inputs) is not None) for item in items])
        for v in objective.views
    }
    counts = zip(objective, _most(objective, has), _most(objective, can_show), strict=True)
    for term, num_with_texts, num_shown in counts if items else ():
        if not num_with_texts and term.weight:
            texts = sorted({text for item in items for text in item.texts})
            raise UsageError(
                f"no item has what the term {term.label} reads; the texts of the data are {', '.join(texts)}. "
                "Name one of them, bring data that have it, or give the term a weight of 0 with --set."
            )
        if not num_shown and term.weight:
            inputs = sorted({v.input for v in term.views} - {CLEAN})
            raise UsageError(
                f"no item can be shown what the term {term.label} reads, {', '.join(inputs)}: no prompt has media, or "
                "none has those that stand for them there. Bring data that have them, or give the term a weight of 0 "
                "with --set."
            )


def _most(objective: Objective, flags: Mapping[View, Tensor]) -> tuple[float, ...]:
    """Most items that each term may count, whatever it asks of their lengths, which are not known yet."""
    return tuple(map(max, objective.counts(flags), objective.counts({v: _LONG * has for v, has in flags.items()})))


def _sources(job: Job, name: str) -> tuple[Path, ...]:
    """Sources of a round go before those of its stage, and those before the job's own.

    Raises:
        UsageError: If there are none.
    """
    stage = name.rpartition(".")[0] or name
    found = job.stage_sources.get(name) or job.stage_sources.get(stage) or job.sources
    if not found:
        raise UsageError(f"stage {name!r} has no data; give --data {name}=SRC, or --data SRC for all stages.")
    return found


def _prepare(job: Job, leg: Leg, listener: Listener) -> Prepared:
    stage, settings = leg.method.stages[0], leg.settings
    leg.folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)  # adapters are drawn when they are attached
    precision = _storage(settings, has_adapter=stage.lora is not None)
    policy = load_policy(leg.model, precision=precision, device=pick_device(settings.device), lora=stage.lora)
    encoder = ItemEncoder(
        encoder=policy.encoder,
        pictures=PictureCache(_reader(leg.loaded)),
        inputs=leg.method.inputs,
        seed=settings.seed,
        token_weights=leg.method.token_weights,
    )
    trainer = Trainer(
        policy,
        leg.method,
        leg.items,
        encoder,
        settings,
        leg.folder,
        listener=listener,
        probe=_probe(leg.train, encoder, job),
        reference_folder=job.reference_folder or job.out / "reference",
    )
    return Prepared(leg=leg, trainer=trainer, policy=policy, encoder=encoder)


def _align(job: Job, listener: Listener, *, is_main: bool) -> Aligned:
    began = time.monotonic()
    if not job.resume and (job.out / "manifest.json").exists():
        raise UsageError(f"{job.out} holds an earlier run; add --resume to go on, or choose another --out.")
    legs = plan_legs(job)
    done = _num_finished(legs) if job.resume else 0
    title = f"{job.method_name} on {', '.join(dict.fromkeys(s.source.name for leg in legs for s in leg.loaded))}"
    facts = _facts(job, legs)
    watch = _Watch(job, legs[-1])
    before: dict[str, Ratio] = {}
    for number, leg in enumerate(legs[done:], start=done):
        if len(legs) > 1:
            listener.stage(number + 1, len(legs), leg.name)
        ready = _prepare(job, leg, listener)
        if number == done == 0:
            _check_later(ready, legs)
        facts["model"] = {"source": job.model, "class": type(ready.policy.bare).__name__}
        facts["preflight"] = {k: v for k, v in ready.trainer.facts().items() if k not in ("step", "folder")}
        if is_main:
            write_manifest(job.out, title, facts)
        if is_main and number == done:
            before = watch.look(ready, BASE)
        trained = ready.trainer.run(resume=job.resume)
        facts["stages"][number]["seconds"] = round(trained.seconds, 1)
        if leg is not legs[-1]:
            ready.policy.merge_adapter()  # the next leg may carry one of its own
            with Together():  # the others read it
                if is_main:
                    save_model(ready.policy, leg.saved)
            del ready
    if not is_main:
        return Aligned(out=job.out, model=job.out / "model", merged=None, policy=ready.policy, train=trained)
    model = save_model(ready.policy, job.out / "model")
    after = watch.look(ready, job.method_name)
    if before or after:
        write_results(job.out / "results.json", results_table({BASE: before, job.method_name: after}))
    facts["seconds"] = {"training": round(trained.seconds, 1), "all": round(time.monotonic() - began, 1)}
    write_manifest(job.out, title, facts)
    merged: Path | None = None
    if job.merge and ready.policy.has_adapter:
        found = merge(ready.policy, job.out / "merged", leg.items[: job.settings.probe_items], ready.encoder)
        merged, facts["merged"] = found.folder, to_jsonable(found)
        write_manifest(job.out, title, facts)
    return Aligned(out=job.out, model=model, merged=merged, policy=ready.policy, train=trained)


def _num_finished(legs: Sequence[Leg]) -> int:
    """Legs that need not run again: what the last saved model stands on is in it."""
    return max((number for number, leg in enumerate(legs[:-1], start=1) if leg.saved.exists()), default=0)


def _facts(job: Job, legs: Sequence[Leg]) -> dict[str, Any]:
    """What the manifest says before anything ran."""
    return {
        "seed": job.settings.seed,
        "spec": {
            "method_name": job.method_name,
            "about": job.method_about,
            "method": to_jsonable(job.method),
            "run": to_jsonable(job.settings),
        },
        "data": {**legs[-1].data, "pairing": job.pairing},
        "stages": [{"name": leg.name, "items": len(leg.items), "data": leg.data} for leg in legs],
    }


def _check_later(ready: Prepared, legs: Sequence[Leg]) -> None:
    """Items of later stages are held against the model now, not after hours of training.

    Raises:
        InputError: If the model cannot take one of them whole.
    """
    for leg in legs[1:]:
        encoder = dataclasses.replace(ready.encoder, pictures=PictureCache(_reader(leg.loaded)))
        for item in leg.items:
            encoder.check(item)


def load_all(sources: Sequence[Path], *, media_root: Path | None = None, allow_outside: bool = False) -> list[Loaded]:
    """Open every source strictly: the first row that cannot be used ends it.

    Raises:
        InputError: Names file, row and fix.
    """
    found = []
    for source in sources:
        root = media_root or (source if source.is_dir() else source.parent)
        resolver = Resolver(root=root, allow_outside=allow_outside) if allow_outside else None
        found.append(load_records(source, media_root=media_root, resolver=resolver))
    return found


def split(records: Sequence[Record], holdout: float, seed: int) -> tuple[list[Record], list[Record]]:
    """Records to train on and records to measure on; which is which depends on their ids, not on their order.

    Raises:
        UsageError: If nothing would be left to train on.
    """
    if not 0 <= holdout < 1:
        raise UsageError(f"--holdout must be in [0, 1), got {holdout}.")
    order = sorted(records, key=lambda record: derive_seed(seed, record.id, "holdout"))
    held = {record.id for record in order[: math.floor(holdout * len(records))]}
    return [r for r in records if r.id not in held], [r for r in records if r.id in held]


class _Watch:
    """Looks at a policy before and after training, in the same way."""

    def __init__(self, job: Job, leg: Leg) -> None:
        self._job, records = job, leg.held_out
        self._rated = leg.method.objective.needs_head
        self._reader = _reader(leg.loaded)
        comparable = [r for r in records if len(r.candidates) > 1 and (r.preferences or job.pairing != "preferences")]
        self._pairs = make_items(comparable, ["chosen", "rejected"], job.pairing)
        self._prompts = make_items(records[: job.samples], [], reads="prompts")

    def look(self, ready: Prepared, run: str) -> dict[str, Ratio]:
        """Answers go to `responses/RUN.jsonl`; gives the metrics on held-out pairs."""
        policy, shared = ready.policy, ready.trainer.preflight.shared
        encoder = dataclasses.replace(ready.encoder, pictures=PictureCache(self._reader))
        path = self._job.out / "responses" / f"{run}.jsonl"
        metrics = self._job.out / "responses" / f".{run}.metrics.json"
        if self._job.resume and metrics.exists():  # measured before the run was stopped, on untrained weights
            return {name: Ratio(**value) for name, value in json.loads(metrics.read_text()).items()}
        path.parent.mkdir(exist_ok=True)
        if self._prompts:
            rows = self._answer(policy, encoder)
            write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        ratios: dict[str, Ratio] = {}
        if self._pairs and (policy.reward_head is not None or not self._rated):  # an earlier stage has no head yet
            ratios = preference_ratios(policy, self._pairs, encoder, shared=shared, rated=self._rated)
        write_whole(metrics, json.dumps({name: dataclasses.asdict(ratio) for name, ratio in ratios.items()}))
        return ratios

    def _answer(self, policy: Policy, encoder: ItemEncoder) -> list[dict[str, Any]]:
        requests = [to_request(item, encoder) for item in self._prompts]
        decoding = Decoding(max_new_tokens=self._job.max_new_tokens, batch_size=8)
        answers = generate(policy, requests, decoding)
        return [
            {
                "item_id": item.record.id,
                "group": item.record.id,
                "prompt": item.record.messages[-1].text,
                "response": answer.text,
                "num_tokens": answer.num_tokens,
                "status": answer.status,
                "image": self._keep_picture(item, encoder),
                "claims": None,
            }
            for item, answer in zip(self._prompts, answers, strict=True)
        ]

    def _keep_picture(self, item: Item, encoder: ItemEncoder) -> str | None:
        media = item.media("chosen")
        picture = shown_to_people(encoder.pictures(media[0])) if media else None
        if picture is None:
            return None
        name = f"pictures/{(media[0].sha256 or str(derive_seed(0, item.id, 'name')))[:16]}.png"
        path = self._job.out / name
        path.parent.mkdir(exist_ok=True)
        small = picture.copy()
        small.thumbnail((512, 512))
        small.save(path)
        return name


def to_request(item: Item, encoder: ItemEncoder) -> Request:
    """The item's prompt, to be answered instead of scored."""
    images = tuple(encoder.pictures(medium) for medium in item.media("chosen"))
    return Request(id=item.id, messages=item.record.messages, images=images)


def _probe(records: Sequence[Record], encoder: ItemEncoder, job: Job) -> Callable[[Policy], list[int]]:
    some = make_items(records[: job.settings.probe_items], [], reads="prompts")
    decoding = Decoding(max_new_tokens=job.max_new_tokens, batch_size=len(some) or 1)

    def probe(policy: Policy) -> list[int]:
        requests = [to_request(item, encoder) for item in some]
        return [answer.num_tokens or 0 for answer in generate(policy, requests, decoding)]

    return probe


def _files(loaded: Sequence[Loaded]) -> dict[str, str]:
    """Record id to the file it came from."""
    files: dict[str, str] = {}
    for source in loaded:
        for record in source.records:
            if record.id in files:
                raise InputError(
                    f"the id {record.id!r} is used in {files[record.id]} too; ids must be unique over all --data.",
                    source=str(source.source),
                )
            files[record.id] = str(source.source)
    return files


def _reader(loaded: Sequence[Loaded]) -> Callable[[Media], bytes]:
    """Reads a medium from the source it came with."""
    if len(loaded) == 1:
        return loaded[0].read
    home = {_key(medium): source for source in loaded for record in source.records for medium in record.media}

    def read(medium: Media) -> bytes:
        return home[_key(medium)].read(medium)

    return read


def _key(medium: Media) -> tuple[str | None, str | None]:
    return medium.sha256, medium.uri


def _storage(settings: RunSettings, *, has_adapter: bool) -> Precision:
    """Weights that are trained stay in float32 and compute under autocast; frozen ones need no more than they use."""
    return settings.precision if has_adapter or settings.precision == "float64" else "float32"
