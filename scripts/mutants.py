"""Break the engine on purpose, one line at a time, and see that its tests notice.

    python scripts/mutants.py [--only WORD] [--jobs 2] [--out docs/proofs/mutants.json]

Every mutant is one replacement in one module, tested in a forked process of its own; no file is changed. Prints one
JSON object; exit status 1 if a mutant survives.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path

import beartype
import datasets
import numpy
import peft
import pytest
import torch
import transformers
from mutants_of_methods import METHODS

_IMPORTED_ONCE = (beartype, datasets, numpy, peft, transformers)  # so that no mutant waits for them
ROOT = Path(__file__).resolve().parents[1]
_BROKEN = 70  # neither "passed" nor "failed": the tests did not run
_OPTIONS = (
    "-x",
    "-q",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:randomly",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
)
OF_METHODS = (
    "tests/methods/test_losses.py::test_a_loss_worked_by_hand",
    "tests/methods/test_losses.py::test_damas_average_of_gaps_moves_by_a_tenth_after_it_was_used",
    "tests/methods/test_published_settings.py",
    "tests/parity/test_paper_formulas.py",
)
OBJECTIVES = (
    "tests/methods/test_losses.py::test_a_loss_worked_by_hand",
    "tests/objectives",
    "tests/parity/test_paper_formulas.py",
    "tests/parity/test_authors_code.py",
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One replacement of a text that occurs once in a module."""

    module: str
    before: str
    after: str
    tests: tuple[str, ...]

    @property
    def path(self) -> Path:
        return ROOT / "src" / Path(*self.module.split(".")).with_suffix(".py")

    def source(self) -> str:
        text = self.path.read_text(encoding="utf-8")
        if text.count(self.before) != 1:
            raise ValueError(f"{self.before!r} occurs {text.count(self.before)} times in {self.path}; expected once")
        return text.replace(self.before, self.after)


def _of(module: str, tests: Sequence[str], *changes: tuple[str, str]) -> list[Mutant]:
    return [Mutant(f"boresight.{module}", before, after, tuple(tests)) for before, after in changes]


MUTANTS = [
    *_of(
        "objectives.rehearsal",
        ("tests/objectives/test_rehearsal.py",),
        ("reference=reference if objective.reference_views else None", "reference=reference"),
        ("kl=kl.requires_grad_() if objective.kl_views else None", "kl=kl.requires_grad_()"),
        ("head=head.requires_grad_() if objective.needs_head else None", "head=head.requires_grad_()"),
        ("n and n + texts.index(view.text)", "n"),
        ("kept = [slope[mask] for slope,", "kept = [slope for slope,"),
        ("values.detach().float()", "values.detach()"),
        ("if not torch.equal(_loss(term, logps), loss):", "if loss.isnan().any():"),
        ("over = _loss(term, tables).detach()[count == 0]", "over = _loss(term, tables).detach()[count < 0]"),
        ("if not torch.allclose(alone, loss, rtol=1e-4, atol=1e-6):", "if alone.isnan().any():"),
    ),
    *_of(
        "objectives.objective",
        ("tests/methods/test_own_file.py",),
        ("or not made.frozen or has_lost_fields:", "or not made.frozen:"),
        ('"ClassVar" not in str(h) for h', "True for h"),
        ("if made is None or not made.frozen or", "if made is None or"),
    ),
    *_of(
        "objectives.rehearsal",
        ("tests/methods/test_own_file.py",),
        ('if kind.__module__.startswith("boresight."):', "if True:"),
    ),
    *_of(
        "registry",
        ("tests/methods/test_own_file.py", "tests/methods/test_declarations.py", "tests/cli/test_refusals.py"),
        ('if colon and not name.endswith(".py") else', "if colon else"),
        ("if len(lines) > 1:", "if len(lines) > 2:"),
        ("if name == called), None)", "if name), None)"),
        ('startswith(("takes ", "missing ", "got "))', 'startswith(("takes ", "missing "))'),
        ("if unread.is_file() and (own or unread", "if unread.is_file() and (unread"),
        ("if not isinstance(known, Mapping):", "if known is None:"),
        ("_lies_beside(path, str(error.name)):", "path:"),
    ),
    *_of(
        "models.device",
        ("tests/models/test_device.py",),
        ("current_accelerator(check_available=True)", "current_accelerator()"),
        ("int(place) % torch.accelerator", "0 * int(place) % torch.accelerator"),
        ("if found is None or device.type != found.type:", "if found is None:"),
        ("device.index >= count", "device.index > count"),
    ),
    *_of(
        "objectives.terms",
        OBJECTIVES,
        ("gap = better - worse", "gap = worse - better"),
        ("if not self.weighs_tokens:", "if False:"),
        ("margin = beta * gap - self.target", "margin = gap - self.target"),
        ("margin = beta * gap - self.target", "margin = beta * gap + self.target"),
        ("gap = gap + shaped(", "gap = gap - shaped("),
        ("self.factor * (value(self.better)", "(value(self.better)"),
        ("(better.detach() if self.stops_better else better)", "better"),
        ("(better.detach() if self.stops_better else better)", "better.detach()"),
        ("- _divergence(self.worse, logps))", "+ _divergence(self.worse, logps))"),
        ("torch.where(values.answer_mask, values.kl, 0.0)", "values.kl"),
        ("loss = loss * signal(", "loss = loss + 0 * signal("),
        ("self.strength(self.beta, logps", "self.strength(1.0, logps"),
        ("-F.logsigmoid(above if self.raises else -above)", "-F.logsigmoid(above)"),
        ("above = gained - self.delta", "above = gained + self.delta"),
        ("gained = self.beta * reward", "gained = reward"),
        ("self.good_weight * self._fall", "self._fall"),
        ("self.bad_weight * self._fall(shift - bad)", "self.bad_weight * self._fall(bad - shift)"),
        ("shift = self.beta * statistic_value", "shift = statistic_value"),
        ("(lengths[self.good] > 0) | (lengths", "(lengths[self.good] > 0) & (lengths"),
        (
            '-F.logsigmoid(above) if self.link == "log_sigmoid" else',
            '-F.logsigmoid(above) if self.link == "sigmoid" else',
        ),
        ("mean - torch.log(-torch.expm1(mean.clamp(max=_ALMOST_ZERO)))", "mean"),
        ("mean.clamp(max=_ALMOST_ZERO)", "mean"),
        ('reward(view, logps, reduction="mean", needs_reference=False)', "reward(view, logps, needs_reference=False)"),
        ("statistic_value(mean, logps, better).sign()", "1.0"),
        ("-F.logsigmoid(better - worse) + self.centering", "-F.logsigmoid(worse - better) + self.centering"),
        ("torch.exp(-per_token.detach())", "torch.exp(-per_token)"),
        ("per_token * torch.exp(-per_token.detach()) if self.sure", "per_token if self.sure"),
        ("torch.where(values.answer_mask, -values.policy, 0.0)", "-values.policy"),
        ('if self.average == "token" else', 'if self.average == "sequence" else'),
        ("0.5 + 0.5 * gap.detach().sign()", "(gap.detach() > 0).to(gap.dtype)"),
        ("or not 0 < beta < math.inf:", "or not 0 <= beta < math.inf:"),
        ("return (*asked, self.scale_by) if self.scale_by else asked", "return asked"),
        ("torch.full_like(like, self.beta)", "torch.full_like(like, 0.1)"),
        (
            'f"margin/{self.label}": keep(margin.detach(), counted)',
            'f"margin/{self.label}": keep(better.detach(), counted)',
        ),
        ("raises: bool = True", "raises: bool = False"),
        ("self.beta * reward(self.target, logps, reduction=self.reduction", "self.beta * reward(self.target, logps"),
        ("keep(self.bad_weight * self._fall", "keep(self._fall"),
        ("-F.logsigmoid(ratio)", "-F.logsigmoid(-ratio)"),
        ("self._log_odds(self.better, logps) - self", "self._log_odds(self.better, logps) + self"),
        ("self.centering * off_center", "off_center"),
        ("off_center = (better + worse)", "off_center = (better - worse)"),
        ("tokens.float() if self.average", "(tokens > 0).float() if self.average"),
        ("sum(dim=1) / values.lengths.clamp(min=1)", "sum(dim=1)"),
        ("if not 0 <= self.label_smoothing < 0.5:", "if not 0 <= self.label_smoothing <= 0.5:"),
        ("if self.link in links.OF_SIDES and (self.plus or self.target):", "if False:"),
    ),
    *_of(
        "objectives.links",
        OBJECTIVES,
        ("-(1 - smoothing) * F.logsigmoid(margin) - smoothing", "-(1 - smoothing) * F.logsigmoid(margin) + smoothing"),
        ("-(1 - smoothing) * F.logsigmoid(margin) - smoothing", "-smoothing * F.logsigmoid(margin) - (1 - smoothing)"),
        ("return (kept + smoothing *", "return (kept - smoothing *"),
        ("/ (1 - 2 * smoothing)", ""),
        ("(F.logsigmoid(margin) - torch.log1p(-smooth))", "(F.logsigmoid(margin) - torch.log(smooth))"),
        ("F.relu(1 - margin)", "F.relu(1 + margin)"),
        ("F.relu(1 - margin)", "1 - margin"),
        ("(margin / beta - 1 / (2 * beta))", "(margin / beta - 1 / beta)"),
        ("-F.logsigmoid(b) - 0.5 * F.logsigmoid(-b)", "-F.logsigmoid(b) - 0.5 * F.logsigmoid(b)"),
        ("- F.logsigmoid(-beta * worse)", "- F.logsigmoid(beta * worse)"),
        ("(worse + 0.5 / beta) ** 2", "(worse - 0.5 / beta) ** 2"),
        (
            "torch.sigmoid(-beta * better) + torch.sigmoid(beta * worse)",
            "torch.sigmoid(beta * better) + torch.sigmoid(beta * worse)",
        ),
        ("torch.sigmoid(-beta * (better - worse))", "torch.sigmoid(beta * (better - worse))"),
        ("torch.sigmoid(beta * better) + torch.sigmoid(-beta", "torch.sigmoid(-beta * better) + torch.sigmoid(-beta"),
        ("(F.logsigmoid(-margin) - torch.log(smooth))", "(F.logsigmoid(-margin) + torch.log(smooth))"),
        ("- 0.5 * F.logsigmoid(-w)", "- 0.5 * F.logsigmoid(w)"),
        ("(better - 0.5 / beta) ** 2", "(better + 0.5 / beta) ** 2"),
        ("return (margin / beta - 1", "return (margin - 1"),
        ("return -F.logsigmoid(beta * better) -", "return -F.logsigmoid(better) -"),
        ('"hinge": hinge', '"hinge": sigmoid'),
        ('"apo_down": apo_down', '"apo_down": apo_zero'),
    ),
    *_of(
        "objectives.rewards",
        OBJECTIVES,
        ("values.policy - _reference(values, view) if", "values.policy + _reference(values, view) if"),
        ("values.policy - _reference(values, view) if", "values.policy if"),
        ('if reduction == "sum":', 'if reduction == "mean":'),
        ("(torch.where(values.answer_mask, per_token, 0.0) * weights)", "(per_token * weights)"),
        (
            "(torch.where(values.answer_mask, per_token, 0.0) * weights)",
            "torch.where(values.answer_mask, per_token, 0.0)",
        ),
        ("torch.where(values.answer_mask, weights, 0.0).sum(dim=1)", "values.lengths"),
        ("_fitted(logps[self.null].policy, values).detach()", "_fitted(logps[self.null].policy, values)"),
        ("- (self.gamma - 1) * null", "+ (self.gamma - 1) * null"),
        ("self.gamma * values.policy", "values.policy"),
        ("gap if self.raised else -gap", "gap"),
        ("self.floor + torch.sigmoid", "torch.sigmoid"),
        ("credited - reference - self._credit(", "credited - reference + self._credit("),
        ("needs_reference=needs_reference).detach()", "needs_reference=needs_reference)"),
        ("F.pad(other, (0, missing))", "F.pad(other, (missing, 0))"),
        ("else other[:, : values.policy.shape[1]]", "else other"),
        ("total / torch.where(counted > 0, counted, 1.0)", "total / counted"),
        ("return guided - _reference(values, self.target) if needs_reference", "return guided if needs_reference"),
    ),
    *_of(
        "objectives.strengths",
        OBJECTIVES,
        ("torch.exp(-self.rate *", "torch.exp(self.rate *"),
        ("beta * (1 + self.weight * (1 - torch", "(1 + self.weight * (1 - torch"),
        (".clamp(min=SMALLEST_BETA)", ""),
        ("beta * (1 + self.weight * signal", "beta * (self.weight * signal"),
    ),
    *_of(
        "objectives.baselines",
        OBJECTIVES,
        ('mean += (means["reward"] - mean) / steps', 'mean = means["reward"]'),
        ('state.get("steps", 0.0) + 1', 'state.get("steps", 1.0) + 1'),
        ("max(0.0, means", "abs(means"),
        ("keep(reward(v, logps), logps[v].present)", "reward(v, logps)"),
        ("torch.cat(rewards)", "rewards[0]"),
        ("keep(reward(self.of, logps), logps[self.of].present)", "reward(self.of, logps)"),
        ('return means["rating"], {}', 'return -means["rating"], {}'),
    ),
    *_of(
        "objectives.objective",
        OBJECTIVES,
        ("output.loss.sum() / count if count", "output.loss.mean() if count"),
        ("t.weight * s for", "s for"),
        ("if t.needs_reference for", "for"),
        ("self.terms + more", "more + self.terms"),
        ("if start == 0 else NotImplemented", "if True else NotImplemented"),
        ("weight=factor * self.weight", "weight=factor"),
        (".all(dim=0)", ".any(dim=0)"),
        ("torch.where(counted, values, fill)", "values"),
        ("if given is not None:", "if False:"),
        ("joined = joined[~joined.isnan()]", "pass"),
        ("float(joined.mean()) if", "float(joined.sum()) if"),
        ("given.to(like.dtype)", "0 * given.to(like.dtype)"),
        ("lengths[v] > 0 for v in views", "lengths[v] > 1 for v in views"),
    ),
    *_of(
        "training.token_weights",
        ("tests/methods/test_items.py", "tests/parity/test_authors_code.py", "tests/parity/test_paper_formulas.py"),
        ("[self.unchanged] * len(chosen)", "[1.0] * len(chosen)"),
        ("[self.unchanged] * len(rejected)", "[1.0] * len(rejected)"),
        ("if b.size >= self.min_match_tokens", "if True"),
        ("if self.pure_edits or (len(old) and len(new))", "if True"),
        ("first < start + span.end and start + span.start < last", "first < span.end and span.start < last"),
        ("first < start + span.end and", "first <= start + span.end and"),
        ("1.0 if span.weight is None else span.weight", "1.0"),
        ("[self.outside] * len", "[0.0] * len"),
        ("if part.type == type and stop > start", "if stop > start"),
    ),
    *_of(
        "training.making_items",
        ("tests/methods/test_items.py",),
        ("if (c.id in good) != (c.id in bad)", "if (c.id in good) or (c.id in bad)"),
        ('{"true": "chosen", "false": "rejected"}', '{"true": "rejected", "false": "chosen"}'),
        ("spans=(span,))", "spans=candidate.spans)"),
        ("chosen - rejected\n", "rejected - chosen\n"),
        ("if c.messages not in own", "if True"),
        ('"partner") % (len(records) - 1)', '"partner") % len(records)'),
        ("return found or self._truth_alone(record, partner)", "return found"),
    ),
    *_of(
        "training.items",
        ("tests/methods/test_items.py",),
        ("if len(others) == len(media) and others != media else", "if len(others) == len(media) else"),
        ("self.record_id, self.transform, *(", "self.record_id, *("),
        ("if shown.media else _without_media", "if True else _without_media"),
        ("made[m.id] for m in media if m.id in made", "m for m in media"),
    ),
    *_of(
        "training.adversarial",
        ("tests/training/test_step_statistics.py",),
        ("(delta + radius / 4 * gradient", "(delta - radius / 4 * gradient"),
        (".clamp(-radius, radius)", ""),
        ("radius=attack.epsilon / std", "radius=attack.epsilon * std"),
        ("(pixels + delta).clamp(low, high).detach()\n", "(pixels + delta).detach()\n"),
    ),
    *(m for name, changes in METHODS.items() for m in _of(f"methods.{name}", OF_METHODS, *changes)),
    *_of(
        "models.tree_attention",
        ("tests/models/test_shared_forward.py",),
        (".triu(trunk + 1)", ".triu(trunk)"),
        (".triu(trunk + 1)", ".triu(trunk + 2)"),
        ("torch.cat((trunk_key, branch_key), dim=1)", "torch.cat((branch_key, trunk_key), dim=1)"),
        ("key.repeat_interleave(groups, dim=1), value", "key.repeat(1, groups, 1, 1), value"),
        ("is_causal = mask is None and queries == path", "is_causal = False"),
        ("or path <= reach.window", "or path <= 100 * reach.window"),
    ),
    *_of(
        "models.unread_layers",
        ("tests/models/test_unread_layers.py",),
        ("in stack[num_read:]", "in stack[num_read - 1 :]"),
        ("in stack[num_read:]", "in stack[num_read + 1 :]"),
        ("                del module.forward\n", "                pass\n"),
    ),
    *_of(
        "models.families",
        ("tests/models/test_unread_layers.py",),
        ("num_layers + 1 + place", "num_layers + place"),
        ("    return num_layers, max(", "    return num_layers, min("),
    ),
    *_of(
        "models.policy",
        ("tests/models/test_shared_forward.py", "tests/models/test_policy.py"),
        ("following = int(trunk.max()) + 1", "following = int(trunk.max())"),
        ("following = int(trunk.max()) + 1", "following = row.prompt.num_tokens"),
        ("torch.tensor([trunk.stop - 1])", "torch.tensor([trunk.stop])"),
        ("torch.arange(branch.start, branch.stop - 1)", "torch.arange(branch.start + 1, branch.stop)"),
    ),
    *_of(
        "models.answer_head",
        ("tests/models/test_answer_head.py",),
        ("return -F.cross_entropy", "return F.cross_entropy"),
        ("logits = transform(logits)", "transform(logits)"),
        ("_NO_GRAD_LOGITS)) // vocab)", "_NO_GRAD_LOGITS)))"),
    ),
    *_of(
        "models.matmul",
        ("tests/models/test_matmul.py",),
        ("rows.sum(dim=0)", "rows.mean(dim=0)"),
        ("x if needs_weight else None", "x"),
        ("weight.t(), bias).view", "weight.t()).view"),
        ("_product(rows.t(), x.flatten(0, -2))", "_product(rows.t(), x.flatten(0, -2).abs())"),
        ("if not b.t().is_contiguous():", "if False:"),
        ("len(a) >= _MIN_ROWS", "len(a) >= 1"),
        (">= _MIN_PRODUCTS", ">= 0"),
        ('or torch.is_autocast_enabled("cpu") or', "or"),
        ("MethodType(_forward, module)", "lambda x: linear(x, module.weight, module.bias)"),
    ),
    *_of(
        "training.loop",
        ("tests/training/test_matmul_choice.py",),
        ("policy.multiply_by(settings.matmul)", "pass"),
        ('"attention", "matmul")', '"attention")'),
    ),
    *_of(
        "training.reference",
        ("tests/training/test_matmul_choice.py",),
        (":{policy.multiplies}", ""),
    ),
    *_of(
        "training.forest",
        ("tests/training/test_trainer.py",),
        ("groups.setdefault(shown.key, [])", "groups.setdefault((str(view),), [])"),
        ("if batch and used + tokens[item.id] > budget", "if batch and used > budget"),
        ("start += place.num_tokens", "start += place.num_tokens + 1"),
    ),
    *_of(
        "training.loop",
        ("tests/training/test_trainer.py", "tests/training/test_resume.py"),
        ('group["lr"] = rate', "pass"),
        ("torch.manual_seed(derive_seed(", "str(derive_seed("),
        ("self._check_identity(checkpoint)\n", "pass\n"),
        ("counts = self.objective.counts(lengths)", "counts = (1.0,) * len(self.objective.terms)"),
    ),
    *_of(
        "training.run_log",
        ("tests/training/test_resume.py", "tests/training/test_health_provoked.py"),
        ("drop_rows_after(self._folder", "str(self._folder"),
        ("warning.name in self._stop_on", "False"),
    ),
    *_of(
        "training.loop",
        ("tests/training/test_step_statistics.py",),
        ("            statistics=statistics,", "            statistics={},"),
        ('self._statistics = dict(checkpoint.state["statistics"])', "pass"),
        ("[*self.views, *self.objective.statistic_views], self", "self.views, self"),
        ("known = values[~values.isnan()].double()", "known = values.nan_to_num(0.0).double()"),
        ("float(total[0] / total[1])", "float(total[0])"),
    ),
    *_of(
        "training.loop",
        ("tests/training/test_ahead.py",),
        ("self._forests.announce(following)", "self._forests.announce(part)"),
        ("following = self.step_number + 1", "following = self.step_number"),
        ("*parts[1:], self._first", "*parts[:-1], self._first"),
        ("        self._forests.settle()\n        lengths", "        lengths"),
    ),
    *_of(
        "training.ahead",
        ("tests/training/test_ahead.py",),
        ("or coming[0] != key", "or False"),
        ("        self.settle()\n        coming", "        coming"),
        ("self._coming = self._coming, None", "self._coming = self._coming, self._coming"),
        ("self._thread.submit(self._make, key)", "self._thread.submit(lambda made: made, self._make(key))"),
    ),
    *_of(
        "training.reference",
        ("tests/training/test_reference.py",),
        ("with self._policy.adapter_off():", "if True:"),
        ("digest.update(value.contiguous().view(torch.uint8).numpy().tobytes())", "pass"),
        ("digest = hashlib.sha256(self._model.encode())", "digest = hashlib.sha256()"),
        ("    cached.save()\n    return cached", "    return cached"),
    ),
    *_of(
        "training.checkpoint",
        ("tests/training/test_resume.py",),
        ("if _identity(path) != identity:", "if False:"),
        ("for folder in reversed(self._folders()):", "for folder in self._folders():"),
    ),
    *_of("files", ("tests/training/test_resume.py",), ("LOCK_EX | fcntl.LOCK_NB", "LOCK_SH | fcntl.LOCK_NB")),
    *_of(
        "training.optimization",
        ("tests/training/test_trainer.py",),
        ("seed * 1_000_003 + epoch", "seed * 1_000_003"),
        ("min(first + stage.batch_items, math.ceil(stage.epochs * num_items))", "first + stage.batch_items"),
    ),
]


def put_in_place(mutant: Mutant) -> None:
    """Let this process read the mutant wherever it would read the module, by whatever loader."""
    read = SourceFileLoader.get_data
    text = mutant.source().encode()

    def get_data(loader: SourceFileLoader, path: str) -> bytes:
        found = Path(path)
        if found == mutant.path:
            return text
        if found.suffix == ".pyc" and found.name.startswith(f"{mutant.path.stem}."):
            raise OSError("a compiled file holds the module as it was")
        return read(loader, path)

    sys.dont_write_bytecode = True
    SourceFileLoader.get_data = get_data  # type: ignore[method-assign,assignment]


def passes(tests: Sequence[str], mutant: Mutant | None) -> bool:
    """Whether the tests pass, in a process of their own, with the mutant in place."""
    child = os.fork()
    if not child:
        code = _BROKEN
        try:
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            if mutant is not None:
                put_in_place(mutant)
            os.chdir(ROOT)
            code = int(pytest.main([*_OPTIONS, *tests]))
        finally:
            os._exit(code)  # nothing of the parent may run in the child
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    # A module that cannot even be imported ends the collection, which is noticing too; without a mutant it is not.
    noticed = {pytest.ExitCode.TESTS_FAILED} | (
        {pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.INTERRUPTED} if mutant else set()
    )
    if code != pytest.ExitCode.OK and code not in noticed:
        raise RuntimeError(f"{' '.join(tests)} did not run (exit {code}) with {mutant}")
    return code == pytest.ExitCode.OK


def _is_killed(mutant: Mutant) -> bool:
    mutant.source()  # a stale entry must not look like a kill
    is_killed = not passes(mutant.tests, mutant)
    print(f"{'killed' if is_killed else 'ALIVE'} {mutant.module}: {mutant.before!r}", file=sys.stderr, flush=True)
    return is_killed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="modules whose name holds this word")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at once")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)  # threads do not survive a fork
    began = time.monotonic()
    chosen = [m for m in MUTANTS if args.only in m.module]
    with ThreadPoolExecutor(args.jobs) as pool:
        suites = list(dict.fromkeys(m.tests for m in chosen))
        for tests, is_fine in zip(suites, pool.map(lambda tests: passes(tests, None), suites), strict=True):
            if not is_fine:
                raise RuntimeError(f"{' '.join(tests)} fails already without a mutant; mend it first")
        fates = list(zip(chosen, pool.map(_is_killed, chosen), strict=True))
    alive = [{"module": m.module, "before": m.before, "after": m.after} for m, is_killed in fates if not is_killed]
    found = {
        "command": "python scripts/mutants.py",
        "mutants": len(chosen),
        "killed": len(chosen) - len(alive),
        "survivors": alive,
        "by_module": {name: sum(m.module == name for m in chosen) for name in dict.fromkeys(m.module for m in chosen)},
        "seconds": round(time.monotonic() - began),
    }
    text = json.dumps(found, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
