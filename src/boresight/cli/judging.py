"""`boresight judge`: what a judge says of stored responses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boresight.cli.answerers import judge_named
from boresight.cli.scoring import AssetsFolder, Bench
from boresight.cli.terminal import Terminal
from boresight.errors import UsageError

if TYPE_CHECKING:
    from boresight.models.chat import Answerer
    from boresight.models.remote import Remote
    from boresight.models.spending import Budget
    from boresight.studies.judge import Judged

AllowFailing = Annotated[
    bool, typer.Option("--allow-failing-judge", help="Go on with a judge that answers most canaries wrong.")
]

BudgetCalls = Annotated[int | None, typer.Option(help="Most calls of a judge's server; every try counts.")]
BudgetUsd = Annotated[float | None, typer.Option(help="Most money for judging; needs both prices.")]
PricePrompt = Annotated[float | None, typer.Option(help="USD for a million prompt tokens.")]
PriceCompletion = Annotated[float | None, typer.Option(help="USD for a million completion tokens.")]


def judge(
    benchmark: Bench,
    responses: Annotated[Path, typer.Option(metavar="FILE", help="What a model said, as JSON lines.")],
    judge: Annotated[str, typer.Option(metavar="URL#MODEL|local:DIR|fake", help="Who judges.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="JSON lines; existing judgements are kept.")],
    rubric: Annotated[str, typer.Option(help="own, or official (the authors' prompt, from their assets).")] = "own",
    assets: AssetsFolder = None,
    limit: Annotated[int | None, typer.Option(help="The first so many only; 0 asks the canaries alone.", min=0)] = None,
    budget_calls: BudgetCalls = None,
    budget_usd: BudgetUsd = None,
    price_prompt: PricePrompt = None,
    price_completion: PriceCompletion = None,
    key_variable: Annotated[
        str, typer.Option(metavar="NAME", help="Environment variable with the server's key.")
    ] = "BORESIGHT_API_KEY",
    concurrency: Annotated[int, typer.Option(help="Calls at once.", min=1)] = 8,
    deadline: Annotated[float, typer.Option(help="Seconds for one question with all its tries.")] = 120.0,
    batch_size: Annotated[int, typer.Option(help="Questions at once for a local model.", min=1)] = 16,
    cache: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where answers are remembered; beside --out if not given.")
    ] = None,
    canaries: Annotated[bool, typer.Option(help="First ask questions whose answer is known.")] = True,
    allow_failing_judge: AllowFailing = False,
) -> None:
    """Let a model judge stored answers. Goes on where it was stopped; one bad item never ends a run."""
    from boresight.judges.cache import Cached
    from boresight.models.server import Limits
    from boresight.studies.judge import Judging, judge_responses

    terminal = Terminal()
    limits = Limits(concurrency=concurrency, deadline_s=deadline, try_s=min(Limits().try_s, deadline))
    budget = budget_of(budget_calls, budget_usd, price_prompt, price_completion)
    job = Judging(
        benchmark=benchmark,
        responses=responses,
        out=out,
        rubric=rubric,
        assets=assets,
        limit=limit,
        has_canaries=canaries,
        allows_failing=allow_failing_judge,
        batch_size=batch_size,
    )
    with (
        judge_named(judge, limits=limits, budget=budget, key_variable=key_variable) as answerer,
        Cached(answerer, cache or out.with_suffix(".cache.sqlite")) as cached,
        terminal.progress() as work,
    ):
        judged = judge_responses(job, cached, work)
    _show(terminal, judged, out)
    show_cost(terminal, answerer, cached.hits)
    if judged.stopped is not None:
        raise judged.stopped


def budget_of(
    calls: int | None, usd: float | None, price_prompt: float | None, price_completion: float | None
) -> Budget:
    """What a judge may cost.

    Raises:
        UsageError: If it could not be kept.
    """
    from boresight.models.spending import Budget, Prices

    if (price_prompt is None) != (price_completion is None):
        raise UsageError("--price-prompt and --price-completion go together; give 0 for what costs nothing.")
    prices = None
    if price_prompt is not None and price_completion is not None:
        prices = Prices(prompt_usd=price_prompt, completion_usd=price_completion)
    return Budget(max_calls=calls, max_usd=usd, prices=prices)


def _show(terminal: Terminal, judged: Judged, out: Path) -> None:
    terminal.line(f"{judged.new} new judgements, {len(judged.judgements)} in all: {out}")
    terminal.line("  ".join(f"{status} {count}" for status, count in judged.statuses.items()))
    if (found := judged.consistency) and found.rate is not None:
        terminal.line(
            f"consistency {found.rate:.3f} of {found.compared} responses with several verdicts;"
            f" pairs that follow the place: {found.for_first} the first, {found.for_second} the second"
        )
    if judged.neutralized:
        terminal.line(f"{judged.neutralized} responses held reserved sequences, which were neutralized")
    if len(judged.served) > 1:
        terminal.line(f"WARNING the judge changed under way: {'; '.join(judged.served)}")
    if judged.canaries:
        passed, asked = sum(judged.canaries.passed.values()), sum(judged.canaries.asked.values())
        terminal.line(f"canaries: {passed} of {asked} as they should be")
        for finding in judged.canaries.findings:
            terminal.line(f"WARNING the judge {finding}")


def show_cost(terminal: Terminal, answerer: Answerer | Remote, hits: int) -> None:
    """Say what a server was asked and what that cost."""
    from boresight.models.remote import Remote

    if isinstance(answerer, Remote):
        spent = answerer.ledger
        money = f", {spent.usd:.4f} USD" if spent.budget.prices else ""
        terminal.line(
            f"{spent.calls} calls, {spent.prompt_tokens} prompt and {spent.completion_tokens} completion tokens{money};"
            f" {hits} answers were known"
        )
