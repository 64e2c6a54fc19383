"""`boresight generate` and `boresight eval`: what a model says, and what that is worth."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boresight.cli.answerers import judge_named, model_named
from boresight.cli.judging import (
    AllowFailing,
    BudgetCalls,
    BudgetUsd,
    PriceCompletion,
    PricePrompt,
    budget_of,
    show_cost,
)
from boresight.cli.scoring import AssetsFolder
from boresight.cli.terminal import Terminal
from boresight.errors import UsageError

if TYPE_CHECKING:
    from boresight.models.chat import Answerer
    from boresight.models.spending import Budget
    from boresight.studies.respond import Shard

Model = Annotated[str, typer.Option(help="Model folder, an id that transformers can resolve, or a server's URL#MODEL.")]
BatchSize = Annotated[int, typer.Option(help="Prompts per batch.", min=1)]
ShardOption = Annotated[
    str | None,
    typer.Option("--shard", metavar="K/N", help="Answer every N-th prompt from the K-th on; N processes share a run."),
]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Ask again what failed before.")]
Frames = Annotated[
    int | None, typer.Option(help="Show a clip as so many pictures, to models and servers that take no clips.", min=1)
]
Limit = Annotated[int | None, typer.Option(help="Answer the first so many only.", min=1)]


def generate(
    target: Annotated[str, typer.Argument(metavar="BENCH|SRC", help="A benchmark's name, or data with prompts.")],
    model: Model,
    out: Annotated[Path, typer.Option("--out", help="JSON lines, one answer each; existing answers are kept.")],
    limit: Limit = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(help="Longest answer, in tokens; as the benchmark says, else 256.", min=1)
    ] = None,
    temperature: Annotated[float, typer.Option(help="0 takes the most likely token.", min=0.0)] = 0.0,
    batch_size: BatchSize = 16,
    seed: Annotated[int, typer.Option(help="Seed of sampling.")] = 0,
    media_root: Annotated[Path | None, typer.Option(help="Where paths in the data start.")] = None,
    assets: AssetsFolder = None,
    frames: Frames = None,
    shard: ShardOption = None,
    retry_failed: RetryFailed = False,
) -> None:
    """Answer the prompts of a benchmark or of data. Goes on where it was stopped."""
    from boresight.files import alone
    from boresight.models.chat import Decoding
    from boresight.studies.prompts import Showing, prompts_of
    from boresight.studies.respond import gather, respond

    terminal, part = Terminal(), _shard(shard)
    prompts = prompts_of(target, assets=assets, limit=limit, media_root=media_root, showing=Showing(frames=frames))
    decoding = Decoding(
        max_new_tokens=max_new_tokens or prompts.max_new_tokens,
        temperature=temperature,
        seed=seed,
        batch_size=batch_size,
    )
    with model_named(model) as answerer, terminal.progress() as work:
        done = respond(prompts, answerer, out, decoding, shard=part, retry_failed=retry_failed, progress=work)
    where = str(out)
    with alone(out.parent):
        if part and not gather(prompts, out, part.of):
            where = f"{part.path(out)}; {out.name} waits for the other shards"
    terminal.line(f"{done.new} new answers, {done.total} in all, {done.failed} failed: {where}")


def evaluate(
    benchmarks: Annotated[list[str], typer.Argument(metavar="BENCH...", help="Benchmarks, by name.")],
    model: Model,
    out: Annotated[Path, typer.Option("--out", help="Folder for answers and figures, one folder per benchmark.")],
    limit: Limit = None,
    scorer: Annotated[str | None, typer.Option(metavar="NAME", help="As for `boresight score`.")] = None,
    judge: Annotated[
        str | None,
        typer.Option(metavar="URL#MODEL|local:DIR|fake", help="Who judges; `boresight judge` has more settings."),
    ] = None,
    rubric: Annotated[str, typer.Option(help="own, or official (the authors' prompt, from their assets).")] = "own",
    allow_failing_judge: AllowFailing = False,
    budget_calls: BudgetCalls = None,
    budget_usd: BudgetUsd = None,
    price_prompt: PricePrompt = None,
    price_completion: PriceCompletion = None,
    assets: AssetsFolder = None,
    frames: Frames = None,
    batch_size: BatchSize = 16,
    shard: ShardOption = None,
    retry_failed: RetryFailed = False,
) -> None:
    """Answer benchmarks and score the answers. Goes on where it was stopped; each is scored before the next begins."""
    from boresight.studies.evaluate import Evaluation, prepare
    from boresight.studies.evaluate import evaluate as run

    terminal = Terminal()
    budget = budget_of(budget_calls, budget_usd, price_prompt, price_completion)
    if judge is None and (budget_calls, budget_usd) != (None, None):
        raise UsageError("a budget is the judge's; name one with --judge.")
    job = Evaluation(
        benchmarks=tuple(benchmarks),
        out=out,
        limit=limit,
        assets=assets,
        frames=frames,
        scorer=scorer,
        rubric=rubric,
        allows_failing_judge=allow_failing_judge,
        batch_size=batch_size,
        shard=_shard(shard),
        retry_failed=retry_failed,
    )
    prompts = prepare(job)
    codes = []
    with model_named(model) as answerer, _judge(judge, out, budget) as judging, terminal.progress() as work:
        for found in run(job, prompts, answerer, judging, work):
            if found.scored:
                terminal.scores(found.scored.to_json())
            else:
                codes.append(found.exit_code)
                terminal.error(f"{found.benchmark} is answered but not scored: {found.waits_for}")
    if codes and job.shard is None:
        raise typer.Exit(min(codes))


@contextmanager
def _judge(judge: str | None, out: Path, budget: Budget) -> Iterator[Answerer | None]:
    """A judge whose answers are remembered, so that a run that goes on pays for nothing twice; says what it cost."""
    if judge is None:
        yield None
        return
    from boresight.judges.cache import Cached

    with judge_named(judge, budget=budget) as answerer, Cached(answerer, out / "judge.cache.sqlite") as cached:
        try:
            yield cached
        finally:
            show_cost(Terminal(), answerer, cached.hits)


def _shard(text: str | None) -> Shard | None:
    from boresight.studies.respond import Shard

    if text is None:
        return _shard_of_launcher()
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal()):
        raise UsageError(f"--shard takes K/N, such as 1/2, got {text!r}.")
    return Shard(number=int(number), of=int(of))


def _shard_of_launcher() -> Shard | None:
    """The part of this process, where `torchrun` or `accelerate launch` has started several."""
    from boresight.studies.respond import Shard

    of = int(os.environ.get("WORLD_SIZE", "1"))
    return Shard(number=int(os.environ["RANK"]) + 1, of=of) if of > 1 else None
