"""What a new user gets wrong in a file of their own is answered with what to write instead."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from method_examples import all_names, load, records
from PIL import Image

from boresight import registry
from boresight.data.store_writer import StoreWriter
from boresight.errors import UsageError
from boresight.media.decoded import change_pictures
from boresight.objectives import Anchor, Objective, Pairwise, Term, TermLoss, nll, pairwise, rehearse, view
from boresight.objectives.objective import keep
from boresight.objectives.rewards import reward
from boresight.training.align import Job, plan_legs
from boresight.training.making_items import make_items
from boresight.training.spec import Method, Stage, override
from boresight.training.token_weights import Answer
from engine_examples import TINY, item_encoder, tiny_policy

CHOSEN, REJECTED = view("chosen"), view("rejected")
PLAIN = Objective((pairwise(CHOSEN, REJECTED),))
VARIED = pairwise(CHOSEN, REJECTED) + pairwise(CHOSEN, view("chosen", "varied"))


@dataclass(frozen=True)
class Unseeded:
    def __call__(self, image: Image.Image) -> Image.Image:
        return image


@dataclass(frozen=True)
class Gray:
    def __call__(self, image: Image.Image, *, seed: int) -> Image.Image:
        return image.convert("L")


class NoData:
    def __call__(self, image: Image.Image, *, seed: int) -> Image.Image:
        return image


@dataclass(frozen=True)
class Weights:
    value: float = 1.0
    more: int = 0

    def __call__(self, answers: dict[str, Answer]) -> dict[str, list[float]]:
        return {name: [self.value] * (len(answer.ids) + self.more) for name, answer in answers.items()}


@dataclass(frozen=True)
class Given:
    weights: Any

    def __call__(self, answers: dict[str, Answer]) -> Any:
        return self.weights


class Scaled(Pairwise):
    factor: float = 2.0


class Squared(Pairwise):
    """Adds no field, so that there is nothing to lose."""

    TARGET: ClassVar[float] = 1.0

    def linked(self, margin: Any, *_: Any) -> Any:
        return (margin - self.TARGET) ** 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LongOnly(Anchor):
    """Counts answers of 16 tokens or more, which lengths that are not known yet may be."""

    def count(self, lengths: Any) -> Any:
        return (lengths[self.target] >= 16).float()

    def __call__(self, logps: Any) -> TermLoss:
        is_long = logps[self.target].lengths >= 16
        return TermLoss(loss=keep(-reward(self.target, logps, needs_reference=False), is_long, fill=0.0))


@dataclass
class Changeable(Term):
    views = (CHOSEN,)


class Side(enum.Enum):
    LEFT = "left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holds(Pairwise):
    """A term with something in it."""

    value: Any


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Scaled(better=CHOSEN, worse=REJECTED), "Scaled must be a frozen dataclass"),
        (Changeable, "Changeable must be a frozen dataclass"),
        (
            lambda: Pairwise,
            "an objective adds up terms, which inherit from Term, got the class Pairwise. Write Pairwise(...).",
        ),
        (lambda: CHOSEN, "an objective adds up terms, which inherit from Term, got View."),
    ],
)
def test_a_term_that_a_run_could_not_store_is_refused(make: Callable[[], Any], why: str) -> None:
    with pytest.raises(UsageError) as refused:
        Objective((make(),))
    assert why in str(refused.value)


def test_a_term_that_overrides_a_method_alone_needs_no_decorator() -> None:
    term = Squared(better=CHOSEN, worse=REJECTED)
    method = Method(objective=Objective((term,)))
    assert override(method, "objective.0.beta", "0.3").objective.terms[0] == dataclasses.replace(term, beta=0.3)


@pytest.mark.parametrize(
    ("value", "where", "got", "advice"),
    [
        (len, "objective.0.value", "builtin_function_or_method", "Keep what makes it in fields, and make it where"),
        ((1.0, {2}), "objective.0.value.1", "set", "Write a tuple"),
        (frozenset(), "objective.0.value", "frozenset", "Write a tuple"),
        (Side.LEFT, "objective.0.value", "Side", "Make Side an enum.StrEnum"),
        (np.float32(0.5), "objective.0.value", "float32", "Write 0.5, a plain number"),
        ({"deep": (object(),)}, "objective.0.value.deep.0", "object", "Keep what makes it in fields"),
    ],
)
def test_a_field_that_json_cannot_hold_is_found_when_the_method_is_made(
    value: Any, where: str, got: str, advice: str
) -> None:
    objective = Objective((Holds(better=CHOSEN, worse=REJECTED, value=value),))
    with pytest.raises(UsageError, match=rf"method\.{where} cannot be stored with a run: .* got {got}\. {advice}"):
        Method(objective=objective)
    with pytest.raises(UsageError, match=rf"method\.stages\.0\.{where} cannot be stored"):
        Method(objective=PLAIN, stages=(Stage(objective=objective),))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"objective": PLAIN, "stages": ()}, "method.stages must be a tuple of stages, got ()"),
        ({"objective": PLAIN, "stages": Stage()}, "method.stages must be a tuple of stages"),
        ({"objective": PLAIN, "inputs": {"varied": Gray()}}, "inputs ['varied'] that no term reads"),
        ({"objective": VARIED, "inputs": {"varied": NoData()}}, "varied must be an instance of a dataclass"),
        ({"objective": VARIED, "inputs": {"varied": Gray}}, "varied must be an instance of a dataclass"),
        ({"objective": VARIED, "inputs": {"varied": Unseeded()}}, "Write def __call__(self, image, *, seed)."),
        ({"objective": PLAIN, "token_weights": lambda answers: {}}, "token_weights must be an instance of a dataclass"),
    ],
)
def test_a_method_that_cannot_work_is_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError) as refused:
        Method(**fields)
    assert why in str(refused.value)


def test_a_number_is_no_adapter() -> None:
    with pytest.raises(UsageError, match=r"stage.lora must be a Lora or None, got 64. Write Lora\(rank=64\)"):
        Stage(lora=64)  # type: ignore[arg-type]


def test_a_stage_shows_only_the_inputs_that_it_reads() -> None:
    stages = (Stage(name="sft", objective=Objective((nll(CHOSEN),))), Stage(name="dpo"))
    first, second = Method(objective=VARIED, inputs={"varied": Gray()}, stages=stages).runs()
    assert not first.inputs and list(second.inputs) == ["varied"]


@pytest.mark.parametrize("transform", [Gray(), lambda image, *, seed: None])
def test_what_a_transform_returns_must_be_a_picture(transform: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match=r"must return an RGB picture, got (one of mode L|NoneType)"):
        change_pictures(Image.new("RGB", (4, 4)), transform, seed=0)


@pytest.mark.parametrize(
    ("weights", "why"),
    [
        (Weights(value=-1.0), r"a weight of -1.0; weights must be >= 0"),
        (Weights(value=float("nan")), r"a weight of nan"),
        (Weights(more=-1), r"gave \d+ weights for the \d+ tokens of 'chosen'"),
        (Given(None), "must give weights by text, of chosen, rejected, got NoneType"),
        (Given([[1.0]]), "must give weights by text, of chosen, rejected, got list"),
        (Given({"chosn": [1.0]}), r"must give weights by text, of chosen, rejected, got \['chosn'\]"),
    ],
)
def test_weights_that_do_not_fit_the_tokens_are_refused(weights: Weights | Given, why: str) -> None:
    (item,) = make_items(records(1), ["chosen", "rejected"])[:1]
    encoder = item_encoder(tiny_policy(TINY))
    weighing = dataclasses.replace(encoder, token_weights=weights)
    with pytest.raises(UsageError, match=f"token_weights .*{why}"):
        weighing.weights(item, "chosen")
    fitting = dataclasses.replace(encoder, token_weights=Weights(value=0.5), _weights={})
    assert set(fitting.weights(item, "chosen").tolist()) == {0.5}


def test_an_error_within_a_users_file_names_its_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("MEMBER = 1\n\ndef broken(values):\n    return values.sigmod()\n\nVARIANTS = {'other': broken}\n")
    broken = registry.load("boresight.methods", f"{file}:other")
    at_line = r"mine.py, line 4: AttributeError: 'int' object has no attribute 'sigmod'"
    with pytest.raises(UsageError, match=at_line), registry.blamed_on(f"{file}:other"):
        broken(1)
    with pytest.raises(ValueError, match="domain"), registry.blamed_on(str(file)):
        math.fmod(1, 0)
    with pytest.raises(UsageError, match="as it is"), registry.blamed_on(str(file)):
        raise UsageError("as it is")


CALLED = """
class Steps:
    def linked(self, margin):
        return margin

def weigh(answers, other):
    return answers
"""


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            "mine.Steps().linked(1.0, 2.0)",
            "line 3: TypeError: Steps.linked() takes 2 positional arguments but 3 were given",
        ),
        ("mine.weigh(1.0)", "line 6: TypeError: weigh() missing 1 required positional argument: 'other'"),
        (
            "mine.weigh(1.0, other=2.0, more=3.0)",
            "line 6: TypeError: weigh() got an unexpected keyword argument 'more'",
        ),
    ],
)
def test_a_hook_that_takes_other_arguments_is_found_in_its_file(call: str, message: str, tmp_path: Path) -> None:
    """Nothing of the file has run then: the error arises where the hook is called."""
    file = tmp_path / "mine.py"
    file.write_text(CALLED, encoding="utf-8")
    space: dict[str, Any] = {}
    exec(compile(CALLED, str(file), "exec"), space)
    with pytest.raises(UsageError) as refused, registry.blamed_on(str(file)):
        eval(call, {"mine": SimpleNamespace(**space)})
    assert str(refused.value) == f"{file}, {message}"


def test_arguments_of_something_elsewhere_are_not_blamed_on_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(CALLED, encoding="utf-8")
    with pytest.raises(TypeError), registry.blamed_on(str(file)):
        math.sqrt()  # type: ignore[call-arg]
    with pytest.raises(TypeError), registry.blamed_on(str(file)):
        Unseeded()(1, 2)  # type: ignore[arg-type,call-arg]


def test_a_syntax_error_is_blamed_on_the_file_that_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on the method's file, which only imports the other; text that is no file has no line but the method's."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_part_of_mine.py").write_text("x = 1\n\n\ny = (\n")
    file = tmp_path / "mine.py"
    for text, place in (
        ("import math\nimport broken_part_of_mine\n", r"of_mine\.py, line 4: SyntaxError: '\(' was never closed$"),
        ("import math\nMEMBER = eval('1 +')\n", r"mine\.py, line 2: SyntaxError"),
        ("MEMBER = 'a\0b'\n", r"mine\.py(, line 1)?: (SyntaxError|ValueError): .*null bytes"),
    ):
        file.write_text(text)
        with pytest.raises(UsageError, match=place):
            registry.load("boresight.methods", str(file))


OWN_TERM = """\
from dataclasses import dataclass
from boresight.objectives import Anchor, Objective, TermLoss, view
from boresight.training.spec import Method

@dataclass(frozen=True, slots=True, kw_only=True)
class Held(Anchor):
    label = "held(chosen)"

    def __call__(self, logps):
        return TermLoss(loss=logps[self.target].policy.sum(dim=1).detach())


MEMBER = Method(objective=Objective((Held(target=view("chosen")),)))
"""


@pytest.mark.parametrize(
    ("beside", "imported", "advice"),
    [
        ("helpers.py", "from helpers import BETA", True),
        ("helpers/losses.py", "import helpers.losses", True),
        ("helpers.py", "import elsewhere", False),
    ],
)
def test_a_module_beside_the_file_is_not_found_and_what_to_do_is_said(
    beside: str, imported: str, advice: bool, tmp_path: Path
) -> None:
    (tmp_path / beside).parent.mkdir(exist_ok=True)
    (tmp_path / beside).write_text("BETA = 0.1")
    file = tmp_path / "mine.py"
    file.write_text(imported)
    with pytest.raises(UsageError, match=r"mine\.py, line 1: ModuleNotFoundError: No module named") as refused:
        registry.load("boresight.methods", str(file))
    assert str(refused.value).endswith(f"use one file, or set PYTHONPATH={tmp_path}.") == advice


def test_a_refusal_of_the_rehearsal_names_the_place_of_ones_own_class(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN_TERM)
    objective = registry.load("boresight.methods", str(file)).objective
    with pytest.raises(UsageError, match=r"mine\.py, line 5: term held\(chosen\) has no gradient"):
        rehearse(objective)


def test_an_error_of_ours_in_a_users_file_is_said_with_its_line_alone(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from boresight.objectives import Objective\n\nMEMBER = Objective(())\n")
    with pytest.raises(UsageError, match=r"mine\.py, line 3: an objective holds a tuple of terms, got none"):
        registry.load("boresight.methods", str(file))


def test_variants_are_a_mapping_by_name(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("MEMBER = 1\nVARIANTS = [2]\n")
    with pytest.raises(UsageError, match=r"mine\.py: VARIANTS must be a mapping of names to members, got list\."):
        registry.load("boresight.methods", f"{file}:strict")
    file.write_text("MEMBER = 1\nVARIANTS = {2: 3}\n")
    with pytest.raises(UsageError, match=r"has no variant 'strict'\. Known: 2\."):
        registry.load("boresight.methods", f"{file}:strict")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("MEMBER = 1\nMEMBER = 2\n", "1 and 2"),
        ("MEMBER: int = 1\nx = 1\nMEMBER = 2\nMEMBER = 3\n", "1, 3 and 4"),
        ("MEMBER: int\nMEMBER = 1\n", None),
        ("MEMBER = 1\nMEMBER = MEMBER + 1\n", None),
        ("if True:\n    MEMBER = 1\nelse:\n    MEMBER = 2\n", None),
        ("from math import pi as MEMBER\nMEMBER = [MEMBER]\n", None),
    ],
)
def test_a_member_that_another_would_replace_is_refused(text: str, lines: str | None, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)
    if lines is None:
        assert registry.load("boresight.methods", str(file))
        return
    with pytest.raises(UsageError, match=rf"mine\.py assigns MEMBER on lines {lines}; expected one\."):
        registry.load("boresight.methods", str(file))


def test_a_term_that_no_item_can_feed_is_refused_with_the_texts_that_there_are(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store") as writer:
        for record in records(3):
            text = tuple(part for part in record.messages[-1].parts if part.type == "text")
            asked = dataclasses.replace(record.messages[-1], parts=text)
            writer.add(dataclasses.replace(record, media=(), messages=(asked,)))
        writer.finish()
    misspelled = pairwise(CHOSEN, REJECTED) + pairwise(CHOSEN, view("rejectd"))
    job = Job(
        model="none", sources=(tmp_path / "store",), method_name="mine", method=Method(objective=misspelled),
        out=tmp_path / "out", holdout=0.0,
    )  # fmt: skip
    with pytest.raises(UsageError, match=r"term chosen>rejectd reads; the texts of the data are chosen, rejected"):
        plan_legs(job)
    picky = Method(objective=pairwise(CHOSEN, REJECTED) + LongOnly(target=CHOSEN))
    assert len(plan_legs(dataclasses.replace(job, method=picky))[0].items) >= 3
    without = Method(objective=pairwise(CHOSEN, REJECTED) + 0.0 * pairwise(CHOSEN, view("rejectd")))
    assert len(plan_legs(dataclasses.replace(job, method=without))[0].items) >= 3


@pytest.mark.parametrize("name", all_names())
def test_every_method_passes_its_own_rehearsal(name: str) -> None:
    for run in load(name).runs():
        rehearse(run.objective)
