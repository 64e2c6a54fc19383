"""Everything that is printed: plain lines that survive a pipe, and progress where somebody watches."""

from __future__ import annotations

import json
import os
import time
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from boresight.cli.doctor import Check
    from boresight.cli.listing import Listed
    from boresight.studies.assets import Found
    from boresight.studies.compare import Compared
    from boresight.training.health import HealthWarning
    from boresight.training.run_log import Listener

_INVISIBLE = ("Cc", "Cf")  # control and format characters
_LINES = 40  # of training steps, so that a long run does not fill the screen
_LEAST_WIDTH = 110  # columns below which a result table cannot be read
_WIDEST = 400  # columns of a table where there is no screen
_PIPED_EVERY_S = 10.0  # progress lines where nobody can see a bar move

Work = Callable[[str, int, int], None]


class Terminal:
    """Where a command writes. Text from data is shown as text: no markup, no control characters."""

    def __init__(self) -> None:
        self._out = Console(highlight=False, soft_wrap=True)
        self._errors = Console(stderr=True, highlight=False, soft_wrap=True)

    def line(self, text: str) -> None:
        """One line on standard output."""
        self._out.print(Text(_plain(text)))

    def error(self, text: str) -> None:
        """One line on standard error."""
        self._errors.print(Text.assemble(("boresight: ", "bold red"), _plain(text)))

    def json(self, value: object) -> None:
        """A JSON value, readable by programs and people."""
        self._out.print(Text(json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False)))

    def facts(self, facts: Mapping[str, Any]) -> None:
        """Names and values below each other."""
        for name, value in facts.items():
            self.line(f"{name:<22} {_shown(value)}")

    def members(self, members: Sequence[Listed]) -> None:
        """Members of a registry."""
        width = max((len(member.name) for member in members), default=0)
        for member in members:
            self.line(f"{member.name:<{width}}  {member.summary}")

    def checks(self, checks: Sequence[Check], *, as_json: bool) -> None:
        """What `doctor` found."""
        if as_json:
            self.json([asdict(check) for check in checks])
            return
        for check in checks:
            mark = "ok " if check.is_fine else "FIX"
            self.line(f"{mark} {check.name:<14} {check.found}" + (f"   -> {check.fix}" if check.fix else ""))

    def results(self, path: Path) -> None:
        """The result table, each value with its interval and its difference from the base."""
        rows = json.loads(path.read_text(encoding="utf-8"))
        table = Table("run", "metric", "n", "value", "95 % interval", "difference", "95 % interval", box=None)
        for row in rows:
            table.add_row(
                _plain(row["run"]),
                _plain(row["metric"]),
                str(row["n"]),
                _number(row["value"]),
                _interval(row["low"], row["high"]),
                _number(row["difference"], sign=True),
                _interval(row["difference_low"], row["difference_high"], sign=True),
            )
        self._wide(table)

    def _wide(self, table: Table) -> None:
        """A pipe gets every character; a screen gets at least what a table needs to be read."""
        width = max(self._out.width, _LEAST_WIDTH) if self._out.is_terminal else _WIDEST
        Console(highlight=False, width=width).print(table)  # no table is printed wider than its console

    def scores(self, scored: Mapping[str, Any]) -> None:
        """What `boresight score` found: figures with intervals, what became of the responses, and notes."""
        table = Table("metric", "value", "95 % interval", "n", "note", box=None)
        for name, value in scored["metrics"].items():
            low, high = scored["intervals"][name]
            note = _plain(scored["reasons"].get(name, ""))
            table.add_row(_plain(name), _number(value), _interval(low, high), str(scored["counts"][name]), note)
        self.line(f"{scored['benchmark']} v{scored['key']['benchmark_version']}, scorer {scored['scorer']}")
        self._wide(table)
        self.line("  ".join(f"{status} {count}" for status, count in scored["statuses"].items()))
        for note in scored["notes"]:
            self.line(f"note: {note}")

    def compared(self, rows: Sequence[Compared]) -> None:
        """Differences from the first run."""
        columns = ("benchmark", "metric", "run", "n", "base", "value", "difference", "95 % interval", "p", "p (Holm)")
        table = Table(*columns, box=None)
        for row in rows:
            table.add_row(
                _plain(row.benchmark),
                _plain(row.metric),
                _plain(row.run),
                str(row.n),
                _number(row.base_value),
                _number(row.value),
                _number(row.difference, sign=True),
                _interval(row.low, row.high, sign=True),
                _number(row.p),
                _number(row.p_holm),
            )
        self._wide(table)
        for row in rows:
            if row.note:
                self.line(f"{row.benchmark} {row.metric} of {row.run}: {row.note}")
        tested = sum(row.p is not None for row in rows)
        if tested > 1:
            self.line(
                f"{tested} tests: about {0.05 * tested:.1f} p-values below 0.05 come by chance alone; "
                "p (Holm) allows for that, the intervals do not"
            )

    def assets(self, found: Sequence[Found]) -> None:
        """A benchmark's files, and which of them are here."""
        width = max((len(f.asset.name) for f in found), default=0)
        for f in found:
            size = "" if f.asset.size is None else f"{f.asset.size / 1e6:.1f} MB"
            pin = "" if f.asset.sha256 else "not pinned by hash"
            words = (f"{f.asset.name:<{width}}", f"{f.state:<8}", f"{size:>10}", f.problem or f.asset.note, pin)
            self.line("  ".join(word for word in words if word).rstrip())
        if not found:
            self.line("no files of its authors' are needed")

    @contextmanager
    def progress(self) -> Iterator[Work]:
        """Progress of one kind of work after another."""
        with self._bars() as work:
            yield work

    def listener(self) -> Listener:
        """Watches a training run from start to end."""
        from boresight.training.run_log import Listener

        view = _RunView(self)
        return Listener(stage=view.stage, started=view.started, step=view.step, warning=view.warning, work=view.work)

    @contextmanager
    def quiet_libraries(self) -> Iterator[None]:
        """Keep other libraries' notes and bars out of the output; their errors still show."""
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its note about forks is not for users
        from boresight.models.quiet import quiet_transformers

        with quiet_transformers(), warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.filterwarnings("ignore", category=FutureWarning)  # about other libraries' next versions
            yield

    @property
    def is_watched(self) -> bool:
        """Whether bars make sense."""
        return self._errors.is_terminal

    def new_bars(self) -> Progress:
        """Bars on standard error."""
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._errors,
            transient=True,
        )

    @contextmanager
    def _bars(self) -> Iterator[Work]:
        view = _RunView(self)
        try:
            yield view.work
        finally:
            view.close()


class _RunView:
    """Turns what a run tells into bars (watched) or sparse lines (piped)."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._bars: Progress | None = None
        self._task: tuple[str, TaskID] | None = None
        self._began = self._last = time.monotonic()
        self._first_step = 0

    def stage(self, number: int, total: int, name: str) -> None:
        self.close()
        self._terminal.line(f"stage {number} of {total}: {name}")

    def started(self, facts: Mapping[str, Any]) -> None:
        self.close()
        share = 100 * facts["trainable_parameters"] / facts["all_parameters"]
        sharing = "shared prompts" if facts["shared"] else "separate rows"
        self._terminal.line(
            f"{facts['items']} items, {facts['steps']} steps on {facts['device']}, {share:.1f} % of "
            f"{facts['all_parameters'] / 1e6:.1f} M weights trained, {sharing}, out {facts['folder']}"
        )
        if facts["memory"]:
            self._terminal.line(f"memory: {facts['memory']['verdict']}")
        for note in facts["notes"]:
            self._terminal.line(f"note: {note}")
        self._began, self._first_step = time.monotonic(), facts["step"]

    def step(self, step: int, total: int, metrics: Mapping[str, Any]) -> None:
        if step % max(1, total // _LINES) and step != total:
            return
        passed = time.monotonic() - self._began
        left = passed / max(1, step - self._first_step) * (total - step)
        columns = [
            f"step {step:>5}/{total}",
            f"loss {_number(metrics['loss']):>7}",
            f"acc {_number(metrics['accuracy'], digits=2):>5}",
            f"margin {_number(metrics['margin'], sign=True):>7}",
            f"chosen {_number(metrics['chosen_log_ratio'], sign=True, digits=2):>7}",
            f"rejected {_number(metrics['rejected_log_ratio'], sign=True, digits=2):>7}",
            f"kl {_number(metrics['kl']):>6}",
            f"|g| {_number(metrics['grad_norm'], digits=2):>6}",
            f"lr {metrics['learning_rate']:.1e}",
            f"{metrics['pairs_per_s']:>6.1f}/s",
            f"eta {_clock(left)}",
        ]
        self._terminal.line("  ".join(columns))

    def warning(self, warning: HealthWarning) -> None:
        self._terminal.error(f"warning: {warning.name} at step {warning.step}: {warning.message}")

    def work(self, what: str, done: int, total: int) -> None:
        if self._terminal.is_watched:
            self._move_bar(what, done, total)
        elif done == total or time.monotonic() - self._last > _PIPED_EVERY_S:
            self._last = time.monotonic()
            self._terminal.line(f"{what}: {done}/{total}")
        if done == total:
            self.close()

    def close(self) -> None:
        """Take the bar away."""
        if self._bars is not None:
            self._bars.stop()
        self._bars = self._task = None

    def _move_bar(self, what: str, done: int, total: int) -> None:
        if self._task is None or self._task[0] != what or self._bars is None:
            self.close()
            self._bars = self._terminal.new_bars()
            self._bars.start()
            self._task = (what, self._bars.add_task(what, total=total))
        self._bars.update(self._task[1], completed=done, total=total)


def is_first_process() -> bool:
    """Whether this is the one that speaks for all that a launcher has started."""
    return os.environ.get("RANK", "0") == "0"


def _plain(text: str) -> str:
    """Text without control characters, so that data cannot move the cursor or color the screen."""
    return "".join(
        c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf") else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def _shown(value: Any) -> str:
    if isinstance(value, tuple | list):
        return "; ".join(map(str, value)) or "-"
    return "-" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def _number(value: float | None, *, sign: bool = False, digits: int = 3) -> str:
    return "-" if value is None else f"{value:{'+' if sign else ''}.{digits}f}"


def _interval(low: float | None, high: float | None, *, sign: bool = False) -> str:
    return "" if low is None or high is None else f"[{_number(low, sign=sign)}, {_number(high, sign=sign)}]"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
