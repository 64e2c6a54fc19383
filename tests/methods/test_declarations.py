"""Methods are data: named, documented, listed, overridable, and divided into runs."""

from __future__ import annotations

import ast
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
from method_examples import PACKAGE, all_names, items_of, load, picture, shrunk

from boresight import registry
from boresight.cli.jobs import make_job
from boresight.cli.listing import facts
from boresight.errors import UnknownNameError, UsageError
from boresight.models.fake import FakeShape
from boresight.objectives import Objective, nll, pairwise, view
from boresight.training.items import ItemEncoder
from boresight.training.loop import Trainer
from boresight.training.spec import Method, RunSettings, Stage, check_together, override, to_jsonable
from boresight.training.token_weights import Answer
from engine_examples import tiny_policy

ASKED_FOR = (
    "fact_rlhf", "ddpo", "ha_dpo", "mdpo", "mia_dpo", "llava_next_interleave_dpo", "mr_dpo", "ct_gpt_dpo",
    "mavis_dpo", "adpo", "vlguard", "interactive_cot", "emmoe_dpo", "squba_dpo", "image_dpo", "rlaif_v",
    "llava_hound_dpo", "povid", "bpo", "stic", "csr", "mpo", "mm_dpo", "silkie", "chip", "v_dpo", "symdpo",
    "s_vco", "opa_dpo", "token_tpo", "temporal_tpo", "sima", "re_align", "dama", "fdpo", "phantom", "hdpo",
    "clip_dpo", "lima", "dpo", "kto", "orpo", "simpo", "cpo", "tdpo",
)  # fmt: skip


def test_every_method_that_was_asked_for_is_there() -> None:
    assert set(ASKED_FOR) <= set(registry.names(PACKAGE))
    assert len(ASKED_FOR) == 45


@pytest.mark.parametrize("name", all_names())
def test_a_method_says_what_it_is_as_plain_json(name: str) -> None:
    said = json.loads(json.dumps(load(name).facts()))
    assert said["modality"] and said["views"] and said["stages"]
    assert {v.partition("@")[2] for v in said["views"]} - {""} == set(said["inputs"])
    for stage in said["stages"]:
        assert stage["terms"] and stage["learning_rate"] > 0 and stage["rounds"] >= 1
    compared = any(run.objective.reference_views for run in load(name).runs())
    assert (said["reference"] != "none") == compared


def test_the_listing_says_all_that_a_method_is() -> None:
    listed = {entry["name"]: entry for entry in facts("methods")}
    assert listed.keys() == set(registry.names(PACKAGE))
    for name, entry in listed.items():
        assert entry["source"] and entry["departures"] and entry["summary"], name
        assert {k: entry[k] for k in load(name).facts()} == load(name).facts()
    mpo, ddpo = listed["mpo"], listed["ddpo"]
    assert mpo["modality"] == ["image"] and mpo["views"] == ["chosen", "rejected"]
    assert mpo["reference"] == "frozen copy" and [s["name"] for s in mpo["stages"]] == ["mpo"]
    assert ddpo["variants"] == ["code"] and listed["mdpo"]["inputs"].keys() == {"cropped"}


@pytest.mark.parametrize("name", registry.names(PACKAGE))
def test_every_text_that_is_compared_is_explained(name: str) -> None:
    """Except by the methods that take any pairs."""
    method = load(name)
    for run in method.runs():
        if run.data.construction is not None:
            assert {v.text for v in run.objective.views} <= set(run.data.texts), run.stages[0].name


@pytest.mark.parametrize("name", registry.names(PACKAGE))
def test_every_variant_is_explained_in_the_head_of_the_file(name: str) -> None:
    head = ast.get_docstring(ast.parse(registry.file_of(PACKAGE, name).read_text())) or ""
    listed_elsewhere = {"dpo"}  # its variants are links, each explained where the link is
    if name not in listed_elsewhere:
        assert all(f"`{variant}`" in head for variant in registry.variants(PACKAGE, name))


@pytest.mark.parametrize("name", [n for n in all_names() if ":" in n])
def test_a_variant_differs_from_its_member(name: str) -> None:
    assert to_jsonable(load(name)) != to_jsonable(load(name.partition(":")[0]))


def test_stages_and_rounds_become_runs_in_order() -> None:
    rounds = load("mr_dpo").runs()
    assert [run.stages[0].name for run in rounds] == [f"dpo.{number}" for number in range(1, 7)]
    assert len({json.dumps(to_jsonable(override(run, "stages.0.name", "dpo"))) for run in rounds}) == 1
    first, second = load("povid").runs()
    assert [v.text for v in first.objective.views] == ["chosen", "rejected"]
    assert [v.text for v in second.objective.views] == ["chosen", "rejected", "drifted"]
    assert second.data.construction == "own_under_noise" != first.data.construction
    assert [len(run.stages) for run in (first, second)] == [1, 1] and second.stages[0].objective is None
    assert second.stages[0].epochs == 1 and first.stages[0].epochs == 3
    check_together(second, RunSettings(), has_adapter=True)


@pytest.mark.parametrize("name", ["povid", "mr_dpo", "fact_rlhf"])
def test_a_run_takes_one_stage_and_one_round(name: str) -> None:
    with pytest.raises(UsageError, match=f"the method has {len(load(name).runs())} of them"):
        check_together(load(name), RunSettings(), has_adapter=True)


def test_a_stage_with_an_objective_of_its_own_is_no_run_yet() -> None:
    method = Method(
        objective=Objective((nll(view("chosen")),)), stages=(Stage(objective=Objective((nll(view("truth")),))),)
    )
    with pytest.raises(UsageError, match="the method has 1 of them"):
        check_together(method, RunSettings(), has_adapter=False)
    check_together(*method.runs(), RunSettings(), has_adapter=False)


def test_inputs_of_a_stages_objective_must_be_declared_too() -> None:
    stage = Stage(objective=Objective((pairwise(view("chosen"), view("chosen", "blurred")),)))
    with pytest.raises(UsageError, match=r"\['blurred'\]"):
        Method(objective=Objective((nll(view("chosen")),)), stages=(stage,))


@pytest.mark.parametrize("options", [{"rounds": 0}])
def test_a_stage_runs_at_least_once(options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="rounds must be >= 1, got 0"):
        Stage(**options)


def test_a_divergence_needs_a_reference_that_is_not_cached() -> None:
    with pytest.raises(UsageError, match="too large to cache"):
        check_together(load("tdpo"), RunSettings(reference="cached"), has_adapter=False)
    check_together(load("tdpo"), RunSettings(), has_adapter=False)


@pytest.mark.parametrize("settings", [RunSettings(reference="cached"), RunSettings(reference="adapter_off")])
def test_adversarial_pictures_need_a_reference_that_stays(settings: RunSettings) -> None:
    with pytest.raises(UsageError, match="'adversarial' is made anew at every step"):
        check_together(load("adpo"), settings, has_adapter=False)
    check_together(load("adpo"), RunSettings(), has_adapter=False)


def test_variants_are_chosen_behind_a_colon_and_typos_are_answered() -> None:
    assert load("ddpo:code").objective.terms[0] != load("ddpo").objective.terms[0]
    with pytest.raises(UnknownNameError, match=r"ddpo has no variant 'cod'\. Known: code"):
        load("ddpo:cod")
    with pytest.raises(UnknownNameError, match=r"silkie has no variant 'x'\. It has none"):
        load("silkie:x")
    with pytest.raises(UnknownNameError, match=r"no method named 'ddp'\. Did you mean 'ddpo'"):
        load("ddp:code")


def of_the_guide(number: int, folder: Path) -> Path:
    """One of the files that docs/own_method.md shows."""
    guide = (Path(__file__).parents[2] / "docs" / "own_method.md").read_text()
    file = folder / f"my_method_{number}.py"
    file.write_text(guide.split("```python\n")[number].split("```")[0])
    return file


def two_steps(method: Method, folder: Path) -> list[dict[str, float]]:
    """The loss of each term, step by step."""
    policy = tiny_policy(FakeShape(hidden=16, layers=2, heads=2, max_tokens=1024))
    encoder = ItemEncoder(
        encoder=policy.encoder, pictures=picture, inputs=method.inputs, token_weights=method.token_weights
    )
    trainer = Trainer(policy, shrunk(method), items_of(method), encoder, RunSettings(device="cpu"), folder)
    return [trainer.step()["terms"] for _ in range(2)]


def test_the_method_of_the_guide_loads_from_a_file_trains_and_is_set_by_path(tmp_path: Path) -> None:
    """One file, no registration: a term of one's own, a declaration, and a variant."""
    file = of_the_guide(1, tmp_path)
    mine, strict = registry.load(PACKAGE, str(file)), registry.load(PACKAGE, f"{file}:strict")
    assert [t.label for t in mine.objective] == ["floor(chosen)", "chosen>rejected", "chosen>chosen@blurred"]
    assert [m.objective.terms[0].weight for m in (mine, strict)] == [0.05, 1.0]
    set_by_path = ["objective.0.weight=0.2", "inputs.blurred.radius_px=[2, 2]"]
    job = make_job(method=f"{file}:strict", sets=set_by_path, stop_on=(), model="m", data=[], out=tmp_path)
    assert job.method.objective.terms[0].weight == 0.2
    losses = two_steps(mine, tmp_path)
    assert losses[0]["floor(chosen)"] == 0.0 and losses[0]["chosen>rejected"] == pytest.approx(math.log(2), abs=1e-4)
    assert set(losses[1]) == {"floor(chosen)", "chosen>rejected", "chosen>chosen@blurred"}


def test_a_link_of_ones_own_bounds_the_loss_of_a_pair(tmp_path: Path) -> None:
    """A tie costs sigmoid(0)^2, or sigmoid(0) with the power set to 1."""
    file = of_the_guide(2, tmp_path)
    assert two_steps(registry.load(PACKAGE, str(file)), tmp_path)[0]["chosen>rejected"] == pytest.approx(0.25, abs=1e-4)
    sets = ["objective.0.power=1"]
    job = make_job(method=str(file), sets=sets, stop_on=(), model="m", data=[], out=tmp_path)
    (tmp_path / "other").mkdir()
    assert two_steps(job.method, tmp_path / "other")[0]["chosen>rejected"] == pytest.approx(0.5, abs=1e-4)


def test_stages_of_the_guide_have_rates_of_their_own_and_the_second_needs_no_reference(tmp_path: Path) -> None:
    sft, compare = registry.load(PACKAGE, str(of_the_guide(5, tmp_path))).runs()
    assert [run.stages[0].learning_rate for run in (sft, compare)] == [2e-5, 1e-6]
    assert not compare.objective.reference_views
    assert [t.label for run in (sft, compare) for t in run.objective] == ["nll(chosen)", "chosen>rejected"]
    (tmp_path / "steps").mkdir()
    assert two_steps(compare, tmp_path / "steps")[0]["chosen>rejected"] > 0


def test_answers_of_the_guide_count_one_by_one(tmp_path: Path) -> None:
    """Both are where the reference is: log 2 for a liked answer, twice that for another; an item has one of them."""
    method = registry.load(PACKAGE, str(of_the_guide(6, tmp_path)))
    assert all(len(item.texts) == 1 for item in items_of(method))
    (loss,) = two_steps(method, tmp_path)[0].values()
    assert math.log(2) - 1e-4 <= loss <= 2 * math.log(2) + 1e-4


def test_the_tests_of_the_guide_pass_on_its_link_and_fail_on_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tests = of_the_guide(7, tmp_path).read_text()
    bounded = of_the_guide(2, tmp_path).rename("bounded.py")

    def run_all() -> None:
        space: dict[str, Any] = {}
        exec(tests, space)
        checks = [value for name, value in space.items() if name.startswith("test_")]
        assert len(checks) == 2
        for check in checks:
            check()

    run_all()
    bounded.write_text(bounded.read_text().replace("sigmoid(-margin)", "sigmoid(margin)"))
    with pytest.raises(AssertionError, match="not close"):
        run_all()


def test_a_picture_of_ones_own_is_compared_with_the_clean_one(tmp_path: Path) -> None:
    mirrored = registry.load(PACKAGE, str(of_the_guide(3, tmp_path)))
    assert mirrored.objective.views[-1] == view("chosen", "mirrored")
    assert set(two_steps(mirrored, tmp_path)[1]) == {"chosen>rejected", "chosen>chosen@mirrored"}


def test_weights_and_a_statistic_of_ones_own_reach_the_loss(tmp_path: Path) -> None:
    """Before the first step every margin is the mean one, 0."""
    above = registry.load(PACKAGE, str(of_the_guide(4, tmp_path)))
    answers = {
        t: Answer(ids=ids, pieces=[""] * 2, messages=()) for t, ids in (("chosen", [1, 2]), ("rejected", [1, 3]))
    }
    assert above.token_weights(answers) == {"chosen": [1.0, 2.0], "rejected": [1.0, 2.0]}
    (mean,) = above.objective.statistics
    assert mean.settle({"margin": 2.0}, {}) == (2.0, {"mean": 2.0})
    assert mean.settle({"margin": 3.0}, {"mean": 2.0})[0] == pytest.approx(2.1, rel=1e-12)
    first, second = two_steps(above, tmp_path)
    assert first["above_mean"] == pytest.approx(math.log(2), abs=1e-4) and second["above_mean"] != first["above_mean"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("MEMBER = Method(", r"mine\.py, line 1: SyntaxError: '\(' was never closed"),
        ("import math\nMEMBER = math.bog(2)", r"mine\.py, line 2: AttributeError: .*no attribute 'bog'"),
        ("x = 1", r"mine\.py declares no MEMBER; assign one at its end"),
        ("MEMBER = 3", r"MEMBER must be a Method, got int"),
        (
            "import sys\nsys.exit(3)",
            r"mine\.py, line 2: SystemExit: 3\. .* put what ends the program under if __name__",
        ),
    ],
)
def test_a_file_that_declares_no_method_is_refused_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        make_job(method=str(file), sets=(), stop_on=(), model="m", data=[], out=tmp_path)


@pytest.mark.parametrize(
    ("name", "path", "value", "found"),
    [
        ("ddpo", "token_weights.weight", "3", lambda m: m.token_weights.weight),
        ("chip", "objective.0.plus.1.factor", "3", lambda m: m.objective.terms[0].plus[1].factor),
        ("mm_dpo", "objective.0.strength.weight", "3", lambda m: m.objective.terms[0].strength.weight),
        ("v_dpo", "objective.0.better.gamma", "3", lambda m: m.objective.terms[0].better.gamma),
        ("image_dpo", "inputs.corrupted.of.0.radius_px", "[3, 3]", lambda m: m.inputs["corrupted"].of[0].radius_px[0]),
        ("mr_dpo", "stages.0.rounds", "3", lambda m: m.stages[0].rounds),
    ],
)
def test_whatever_a_method_declares_can_be_set_by_its_path(name: str, path: str, value: str, found: object) -> None:
    assert found(override(load(name), path, value)) == 3  # type: ignore[operator]


def test_two_methods_are_never_one() -> None:
    plain = dataclasses.replace
    seen: dict[str, str] = {}
    for name in registry.names(PACKAGE):
        method = load(name)
        key = json.dumps([to_jsonable(plain(method, data=method.data)), method.data.construction])
        assert key not in seen, f"{name} is {seen.get(key)}"
        seen[key] = name


def test_a_term_alone_is_no_objective() -> None:
    with pytest.raises(UsageError, match=r"got Nll; write Objective\(\(term,\)\) for a single one"):
        Method(objective=nll(view("chosen")))  # type: ignore[arg-type]
