"""Forests that are made before they are asked for are those that would have been made then."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from boresight.errors import InputError, RecordError
from boresight.methods.kto import MEMBER as KTO
from boresight.objectives import View
from boresight.records import Media
from boresight.training import loop
from boresight.training.ahead import Ahead
from boresight.training.items import Item, ItemEncoder
from boresight.training.loop import Trainer
from boresight.training.spec import Method, override
from engine_examples import dpo, item, make_trainer, picture, same, weights

PATIENCE_S = 20


def test_what_was_announced_is_made_before_it_is_asked_for() -> None:
    made, makers = threading.Event(), []

    def make(key: str) -> str:
        makers.append(threading.current_thread().name)
        made.set()
        return key.upper()

    ahead = Ahead(make)
    ahead.announce("a")
    assert made.wait(PATIENCE_S)
    assert ahead.take("a") == "A"
    assert len(makers) == 1 and makers[0] != threading.current_thread().name
    assert ahead.take("a") == "A" and len(makers) == 2  # given away once


def test_what_was_not_announced_is_made_now() -> None:
    ahead = Ahead(str.upper)
    ahead.announce("a")
    assert ahead.take("b") == "B"
    assert ahead.take("a") == "A"


def test_nothing_else_is_made_at_the_same_time() -> None:
    going, allowed = threading.Event(), threading.Event()
    active: list[str] = []
    together: list[int] = []

    def make(key: str) -> str:
        active.append(key)
        together.append(len(active))
        going.set()
        if key == "a":
            assert allowed.wait(PATIENCE_S)
        active.remove(key)
        return key

    ahead = Ahead(make)
    ahead.announce("a")
    assert going.wait(PATIENCE_S)
    threading.Timer(0.05, allowed.set).start()  # `take` must still be waiting when "a" is finished
    assert ahead.take("b") == "b"
    ahead.announce("c")
    ahead.settle()
    assert together == [1, 1, 1] and not active


def test_an_error_is_raised_where_the_thing_is_asked_for() -> None:
    def make(key: int) -> float:
        return 1 / key

    ahead = Ahead(make)
    ahead.announce(0)
    ahead.settle()
    with pytest.raises(ZeroDivisionError):
        ahead.take(0)
    ahead.announce(2)
    assert ahead.take(2) == 0.5


def trainers(folder: Path, method: Method, **settings: Any) -> list[Trainer]:
    """One that makes everything when it is needed, and one that looks ahead."""
    found = [make_trainer(folder / name, method=method, **settings) for name in ("now", "ahead")]
    found[1]._looks_ahead = True
    return found


@pytest.mark.parametrize("method", [dpo(batch_items=3), KTO], ids=["dpo", "kto"])
@pytest.mark.parametrize("budget", [60, 4096], ids=["parts", "whole"])
def test_a_run_that_looks_ahead_ends_with_the_same_bits(
    method: Method, budget: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also over the border between epochs, and where a statistic of the step is measured first."""
    if method is KTO:
        for name, value in {"learning_rate": "0.001", "batch_items": "3", "epochs": "2.0", "frozen": "[]"}.items():
            method = override(method, f"stages.0.{name}", value)
    planned: list[tuple[str, tuple[str, ...]]] = []
    plan = loop.plan

    def noted(views: Sequence[View], part: Sequence[Item], encoder: ItemEncoder) -> Any:
        planned.append((threading.current_thread().name, tuple(item.id for item in part)))
        return plan(views, part, encoder)

    now, ahead = trainers(tmp_path, method, micro_batch_tokens=budget)
    assert not now._looks_ahead  # of itself: a processor that trains has no time to spare
    monkeypatch.setattr(loop, "plan", noted)
    now.run()
    main = threading.current_thread().name
    assert {thread for thread, _ in planned} == {main}
    plain = [part for _, part in planned]
    planned.clear()
    ahead.run()
    assert sorted(part for _, part in planned) == sorted(plain)  # nothing is made twice or for nothing
    by_main = sum(thread == main for thread, _ in planned)
    if not ahead.objective.statistics:
        assert by_main == 1  # the first of all was not announced
    assert 0 < by_main < len(planned)
    assert same(weights(now._whole), weights(ahead._whole))


def test_a_picture_that_cannot_be_read_any_more_is_named(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, items=[item(f"i{n}", row=n + 1) for n in range(4)], method=dpo(batch_items=2))
    trainer._looks_ahead = True
    gone = False

    def pictures(medium: Media) -> Any:
        if gone:
            raise RecordError(f"{medium.id}: is not there any more.")
        return picture(medium)

    object.__setattr__(trainer.encoder, "pictures", pictures)
    gone = True
    with pytest.raises(InputError, match=r"row [1-4] of rows\.jsonl: .*is not there any more"):
        trainer.step()
    gone = False
    trainer.step()
    gone = True
    with pytest.raises(InputError, match=r"row [1-4] of rows\.jsonl: .*is not there any more"):
        for _ in range(3):  # of the step that comes next, part of which may have been made in time
            trainer.step()


def test_a_probe_waits_until_the_encoder_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    busy, seen = threading.Event(), []
    plan = loop.plan

    def slow(views: Sequence[View], part: Sequence[Item], encoder: ItemEncoder) -> Any:
        busy.set()
        try:
            threading.Event().wait(0.05)  # longer than the rest of a step
            return plan(views, part, encoder)
        finally:
            busy.clear()

    def probe(policy: Any) -> list[int]:
        seen.append(busy.is_set())
        return [1]

    trainer = make_trainer(tmp_path, probe=probe, probe_every=1)
    trainer._looks_ahead = True
    monkeypatch.setattr(loop, "plan", slow)
    trainer.run()
    assert len(seen) == trainer.total_steps + 1 and not any(seen)
