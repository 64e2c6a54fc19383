"""A model on benchmarks: answers, then figures, each on disk before the next benchmark begins.

OUT/BENCH/responses.jsonl       what the model said; `responses.run.json` says which model, and how it was asked
OUT/BENCH/judgements.jsonl      what a judge said of it; made here with a judge, else read where it is there
OUT/BENCH/scores.json           the figures
OUT/BENCH/scores.items.jsonl    what became of each response
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from boresight.benchmarks._benchmark import Assets
from boresight.errors import EXIT_USAGE, InputError, UsageError
from boresight.files import alone
from boresight.models.chat import Answerer, Decoding
from boresight.studies.judge import OWN, Judging, judge_responses
from boresight.studies.prompts import Prompts, Showing, benchmark_prompts
from boresight.studies.respond import Progress, Responded, Shard, gather, respond
from boresight.studies.score import Inputs, Scored, fetched_assets, find_scorer, load_benchmark, score, write_scored

RESPONSES = "responses.jsonl"
JUDGEMENTS = "judgements.jsonl"
SCORES = "scores.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Which benchmarks are run, and how."""

    benchmarks: tuple[str, ...]
    out: Path
    limit: int | None = None
    """Tasks of each benchmark."""
    frames: int | None = None
    """A clip is shown as so many pictures; None shows it as a clip."""
    assets: Path | None = None
    """Folder with the authors' files; for several benchmarks, with one folder for each."""
    scorer: str | None = None
    rubric: str = OWN
    """Which of a benchmark's rubrics a judge follows."""
    allows_failing_judge: bool = False
    batch_size: int = 16
    shard: Shard | None = None
    retry_failed: bool = False

    def __post_init__(self) -> None:
        if repeated := {name for name in self.benchmarks if self.benchmarks.count(name) > 1}:
            raise UsageError(f"benchmark {min(repeated)!r} is named twice.")

    def folder(self, name: str) -> Path:
        """Where a benchmark's files go."""
        return self.out / Path(name).stem

    def assets_of(self, name: str) -> Path | None:
        """Where a benchmark's assets lie."""
        if self.assets is None:
            return fetched_assets(name)
        return own if (own := self.assets / Path(name).stem).is_dir() else self.assets


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """What became of one benchmark."""

    benchmark: str
    responded: Responded
    scored: Scored | None = None
    waits_for: str = ""
    """What must come before it can be scored."""
    exit_code: int = EXIT_USAGE
    """With which a run ends that waits for this."""


def prepare(job: Evaluation) -> dict[str, Prompts]:
    """All prompts, so that whatever is missing is said before a model is loaded.

    Raises:
        UsageError: If a benchmark asks nothing.
        InputError: If an asset is missing.
    """
    prompts = {}
    showing = Showing(frames=job.frames)
    for name in job.benchmarks:
        find_scorer(name, load_benchmark(name), job.scorer)
        assets = Assets(benchmark=Path(name).stem, folder=job.assets_of(name))
        prompts[name] = benchmark_prompts(name, assets, job.limit, showing)
    return prompts


def evaluate(
    job: Evaluation,
    prompts: dict[str, Prompts],
    model: Answerer,
    judge: Answerer | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Iterator[Evaluated]:
    """Run the benchmarks in order; what is on disk already is not made again.

    Args:
        prompts: What `prepare` gave.
        judge: Who judges the benchmarks that have a rubric.
    """
    for name in job.benchmarks:
        out = job.folder(name) / RESPONSES
        decoding = Decoding(max_new_tokens=prompts[name].max_new_tokens, batch_size=job.batch_size)
        responded = respond(
            prompts[name],
            model,
            out,
            decoding,
            shard=job.shard,
            retry_failed=job.retry_failed,
            progress=partial(_named, progress, name),
        )
        with alone(job.folder(name)):
            yield _score(job, name, prompts[name], responded, judge, partial(_named, progress, name))


def _score(
    job: Evaluation, name: str, prompts: Prompts, responded: Responded, judge: Answerer | None, progress: Progress
) -> Evaluated:
    """What cannot be scored yet, for want of a judge or of other shards, does not keep the next benchmark waiting."""
    evaluated = partial(Evaluated, benchmark=name, responded=responded)
    responses, judgements = job.folder(name) / RESPONSES, job.folder(name) / JUDGEMENTS
    if job.shard and not gather(prompts, responses, job.shard.of):
        return evaluated(waits_for="other shards are not done")
    assets = job.assets_of(name)
    try:
        if judge and load_benchmark(name).rubrics:
            judging = Judging(
                benchmark=name,
                responses=responses,
                out=judgements,
                rubric=job.rubric,
                assets=assets,
                allows_failing=job.allows_failing_judge,
                batch_size=job.batch_size,
            )
            if stopped := judge_responses(judging, judge, progress).stopped:
                return evaluated(waits_for=str(stopped), exit_code=stopped.exit_code)
        judged = judgements if judgements.exists() else None
        inputs = Inputs(responses=responses, judgements=judged, assets=assets)
        scored = score(name, inputs, job.scorer)
    except InputError as error:
        return evaluated(waits_for=str(error))
    write_scored(job.folder(name) / SCORES, scored)
    return evaluated(scored=scored)


def _named(progress: Progress, name: str, what: str, done: int, total: int) -> None:
    progress(f"{name}: {what}", done, total)
