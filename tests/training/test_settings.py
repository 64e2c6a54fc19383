from __future__ import annotations

import dataclasses
import enum
import json
import re
from pathlib import Path
from typing import Any, Optional

import pytest

from boresight.errors import UsageError
from boresight.media.transforms.null import Null
from boresight.methods.mdpo import MEMBER as MDPO
from boresight.objectives import Objective, pairwise, view
from boresight.training.metrics import append_row, drop_rows_after
from boresight.training.spec import Data, Method, Stage, override, to_jsonable
from engine_examples import dpo


def test_a_setting_is_replaced_by_its_path_and_nothing_else_changes() -> None:
    changed = override(MDPO, "objective.1.beta", "0.25")
    assert [t.beta for t in changed.objective] == [0.1, 0.25, 0.1]
    assert [t.beta for t in MDPO.objective] == [0.1, 0.1, 0.1]
    lora = MDPO.stages[0].lora
    assert lora is not None
    assert override(MDPO, "stages.0.lora.rank", "8").stages[0].lora == dataclasses.replace(lora, rank=8)
    assert override(MDPO, "inputs.cropped.area", "[0.1, 0.2]").inputs["cropped"].area == (0.1, 0.2)


def test_a_whole_number_may_stand_for_a_fraction_and_a_word_for_text() -> None:
    assert override(dpo(), "stages.0.epochs", "3").stages[0].epochs == 3.0
    assert override(dpo(), "stages.0.schedule", "linear").stages[0].schedule == "linear"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("stages.0.learning_rat", "1", "no field 'learning_rat'. Did you mean 'learning_rate'"),
        ("objective.7.beta", "1", "expected a number from 0 to 0, got '7'"),
        ("stages.0.epochs", "many", "expected a number, got 'many'"),
        ("stages.0.epochs", "true", "expected a number, got True"),
        ("stages.0.epochs.first", "1", "the path is too long"),
        ("stages.0.learning_rate", "-1", "learning_rate must be > 0"),
        ("stages.0.warmup", "1.0", "warmup must be in"),
        ("stages.0.batch_items", "0", "batch_items must be >= 1"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_its_path(path: str, value: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        override(dpo(), path, value)
    assert message in str(caught.value)


def test_a_method_that_reads_an_undeclared_input_is_refused() -> None:
    objective = Objective((pairwise(view("chosen"), view("chosen", "cropped")),))
    with pytest.raises(UsageError, match=r"inputs \['cropped'\] that the method does not declare"):
        Method(objective=objective, stages=(Stage(),))


def test_every_setting_of_a_method_is_written_as_json() -> None:
    written: Any = json.loads(json.dumps(to_jsonable(MDPO)))
    assert [t["kind"] for t in written["objective"]] == ["Pairwise", "Pairwise", "Anchor"]
    assert written["inputs"]["cropped"]["area"] == [0.01, 0.2]
    assert written["stages"][0]["lora"]["rank"] == 64


def test_rows_after_the_checkpoint_and_half_written_ones_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    drop_rows_after(path, 2)  # nothing to drop yet
    for step in range(1, 5):
        append_row(path, {"step": step, "loss": float("nan")})
    path.write_text(path.read_text() + '{"step": 5, "lo')
    drop_rows_after(path, 2)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"step": 1, "loss": None},
        {"step": 2, "loss": None},
    ]


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("name", "../../out", "stage.name names a folder"),
        ("max_grad_norm", -1.0, "stage.max_grad_norm must be >= 0"),
        ("weight_decay", -0.1, "stage.weight_decay must be >= 0"),
        ("epochs", float("inf"), "stage.epochs: expected a number, got inf"),
        ("learning_rate", float("nan"), "stage.learning_rate: expected a number, got nan"),
        ("learning_rate", True, "stage.learning_rate: expected a number, got True"),
        ("batch_items", 16.5, "stage.batch_items: expected a whole number, got 16.5"),
        ("betas", (0.9,), r"stage.betas: expected 2 values, got \(0.9,\)"),
        ("betas", (0.9, 1.0), r"stage.betas must be in \[0, 1\)"),
        ("betas", ("a", 0.9), "stage.betas.0: expected a number, got 'a'"),
        ("schedule", "cosin", "stage.schedule: expected one of cosine, linear, .* got 'cosin'"),
        ("frozen", "vision_tower", "stage.frozen: expected a list, got 'vision_tower'"),
        ("trained", (1,), "stage.trained.0: expected text, got 1"),
    ],
)
def test_a_stage_of_anybodys_file_is_held_to_its_annotations(setting: str, value: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Stage(**{setting: value})


def test_data_that_nothing_reads_are_refused() -> None:
    misspelt: Any = "unpared"
    with pytest.raises(UsageError, match=r"data.reads: expected one of auto, pairs, .* got 'unpared'"):
        Data(reads=misspelt)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("stages.0.betas", "[0.9]", "--set stages.0.betas: expected 2 values"),
        ("stages.0.betas", '["a", 1]', "--set stages.0.betas.0: expected a number"),
        ("stages.0.frozen", "[1]", "--set stages.0.frozen.0: expected text, got 1"),
        ("stages.0.epochs", "Infinity", "--set stages.0.epochs: expected a number, got inf"),
        ("inputs.cropped.area", "[0.1]", "--set inputs.cropped.area: expected 2 values"),
    ],
)
def test_elements_of_a_list_are_looked_at_too(path: str, value: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        override(MDPO, path, value)


def test_a_round_may_not_have_the_name_of_a_stage() -> None:
    with pytest.raises(UsageError, match="every stage needs a name of its own"):
        dataclasses.replace(dpo(), stages=(Stage(name="a.1"), Stage(name="a", rounds=2)))


def test_media_as_they_are_cannot_be_called_otherwise() -> None:
    with pytest.raises(UsageError, match="an input cannot be called clean"):
        dataclasses.replace(dpo(), inputs={"clean": Null()})


class Kind(enum.StrEnum):
    HARD = "hard"
    SOFT = "soft"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unimported:
    unknown: NowhereImported | None = None  # type: ignore[name-defined]  # noqa: F821
    power: float = 2.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Typed:
    cap: Optional[float] = None  # noqa: UP045
    kind: Kind = Kind.SOFT


def test_fields_may_be_typed_in_other_ways() -> None:
    assert override(Typed(), "cap", "0.4") == Typed(cap=0.4)
    assert override(Typed(cap=1.0), "cap", "null") == Typed()
    assert override(Typed(), "kind", "hard").kind is Kind.HARD
    assert override(Unimported(), "power", "3") == Unimported(power=3.0)
    with pytest.raises(UsageError, match=r"--set kind: expected one of hard, soft, got 'firm'\."):
        override(Typed(), "kind", "firm")
    with pytest.raises(UsageError, match=r"--set cap: expected a number or null, got 'a'\."):
        override(Typed(), "cap", "a")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Matching:
    pattern: str = "red|blue"
    compiled: Any = dataclasses.field(init=False, default=re.compile("red|blue"))


def test_what_is_made_of_the_fields_is_not_stored() -> None:
    assert to_jsonable(Matching()) == {"kind": "Matching", "pattern": "red|blue"}
