"""Verbs from end to end, on small models and files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_examples import Rows
from transformers import AutoModelForImageTextToText, AutoProcessor

from boresight.records import loads, to_json
from command_line import Run


def align(run: Run, model: Path, data: Path, out: Path, *more: object, method: str = "dpo") -> None:
    outcome = run(
        "align", "--model", model, "--data", data, "--method", method, "--out", out, "--max-new-tokens", "8",
        "--set", "stages.0.batch_items=4", "--set", "stages.0.learning_rate=1e-3", *more,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "report:" in outcome.out


@pytest.mark.parametrize("method", ["sft", "dpo", "mdpo"])
def test_align_writes_a_model_that_plain_transformers_loads(
    run: Run, rows: Rows, model_folder: Path, tmp_path: Path, method: str
) -> None:
    out = tmp_path / "out"
    align(run, model_folder, rows(20), out, method=method)
    assert AutoModelForImageTextToText.from_pretrained(out / "model").config.model_type == "llava"
    assert AutoProcessor.from_pretrained(out / "model").chat_template
    results = json.loads((out / "results.json").read_text())
    assert {row["run"] for row in results} == {"base", method}
    assert {row["metric"] for row in results} >= {"margin", "margin@null", "preference_accuracy"}
    assert {row["n"] for row in results} == {2}  # a tenth of 20 is held out
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["data"]["trained_on"] == 18
    assert manifest["spec"]["method_name"] == method
    page = (out / "report.html").read_text()
    assert "data:image/" in page and "http-equiv" in page


def test_align_reads_the_same_from_a_store(run: Run, rows: Rows, model_folder: Path, tmp_path: Path) -> None:
    data = rows(10)
    assert run("data", "import", data, "--out", tmp_path / "store", "--yes").code == 0
    align(run, model_folder, data, tmp_path / "a", "--holdout", "0")
    align(run, model_folder, tmp_path / "store", tmp_path / "b", "--holdout", "0")
    losses = [
        [json.loads(line)["loss"] for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("a", "b")
    ]
    assert losses[0] == losses[1] and len(losses[0]) == 3


def test_a_finished_run_is_not_overwritten_and_resumes_to_itself(
    run: Run, rows: Rows, model_folder: Path, tmp_path: Path
) -> None:
    data, out = rows(10), tmp_path / "out"
    align(run, model_folder, data, out)
    weights = (out / "model" / "model.safetensors").read_bytes()
    again = run("align", "--model", model_folder, "--data", data, "--method", "dpo", "--out", out)
    assert again.code == 2 and "--resume" in again.err
    align(run, model_folder, data, out, "--resume")
    assert (out / "model" / "model.safetensors").read_bytes() == weights


def test_a_dry_run_checks_and_leaves_a_page_of_three_items(
    run: Run, rows: Rows, model_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    common = ("align", "--model", model_folder, "--data", rows(8), "--method", "mdpo", "--out", out)
    outcome = run(*common, "--dry-run")
    assert outcome.code == 0
    assert "media_effect_nats" in outcome.out and "shared                 True" in outcome.out
    assert "GiB at the peak of a micro-batch" in outcome.out
    assert f"page: {out / 'dry_run.html'}" in outcome.out
    assert {path.name for path in out.iterdir()} == {"dry_run.json", "dry_run.html"}
    page = (out / "dry_run.html").read_text()
    assert page.count("<article") == 3 and page.count("data:image/png;base64,") == 6  # clean and cropped
    assert "chosen@cropped" in page and "arXiv:2406.11839" in page
    assert run(*common, "--set", "stages.0.lora.rank=2", "--samples", "0").code == 0  # it was no run


def test_a_dry_run_draws_the_stage_that_is_asked_for(run: Run, rows: Rows, model_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    common = ("align", "--model", model_folder, "--data", rows(8), "--method", "stic", "--out", out)
    assert run(*common, "--dry-run").code == 0
    first = (out / "dry_run.html").read_text()
    assert run(*common, "--dry-run", "--stage", "described_sft").code == 0
    second = (out / "dry_run.html").read_text()
    assert "stage dpo" in first and "rejected" in first
    assert "stage described_sft" in second and "road" in first and "road" not in second  # rejected answers name one
    unknown = run(*common, "--dry-run", "--stage", "sft")
    assert unknown.code == 2 and "--stage sft: the method has dpo, described_sft." in unknown.err
    assert run(*common, "--stage", "dpo").code == 2


def test_an_adapter_is_saved_beside_a_merged_model_and_both_have_a_card(
    run: Run, rows: Rows, model_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    align(run, model_folder, rows(20), out, "--set", "stages.0.lora.rank=2", method="mdpo")
    manifest = json.loads((out / "manifest.json").read_text())
    assert 0 <= manifest["merged"]["difference"] < 1e-4 < manifest["merged"]["adapter_effect"]
    assert (out / "model" / "adapter_config.json").is_file()
    assert not (out / "merged" / "adapter_config.json").exists()
    first, second = ((out / name / "README.md").read_text() for name in ("model", "merged"))
    assert "library_name: peft" in first and "library_name: transformers" in second
    for words in (
        "arXiv:2406.11839", manifest["data"]["sources"][0]["fingerprint"], "| `mdpo` | `margin@null` | 2 |",
        "18 records were trained on; 2 were held out", "The terms of the data are not known", "transformers 5.",
        "`stages.0.lora.rank`: `2`", "`run.seed`: `0`",
    ):  # fmt: skip
        assert words in first and words in second, words
    assert "gave the adapter model's logits on 8 training items" in second
    model = AutoModelForImageTextToText.from_pretrained(out / "merged")
    assert AutoProcessor.from_pretrained(out / "merged").chat_template
    assert not any("lora" in name for name, _ in model.named_parameters())


def test_a_merged_model_is_not_written_where_it_is_not_wanted_or_nothing_was_adapted(
    run: Run, rows: Rows, model_folder: Path, tmp_path: Path
) -> None:
    align(run, model_folder, rows(10), tmp_path / "a", "--no-merge", "--samples", "0", method="mdpo")
    align(run, model_folder, rows(10), tmp_path / "b", "--samples", "0", method="dpo")
    assert not (tmp_path / "a" / "merged").exists() and not (tmp_path / "b" / "merged").exists()
    assert "library_name: transformers" in (tmp_path / "b" / "model" / "README.md").read_text()


def test_a_warning_that_does_not_exist_is_refused_with_the_nearest(
    run: Run, rows: Rows, model_folder: Path, tmp_path: Path
) -> None:
    outcome = run(
        "align", "--model", model_folder, "--data", rows(), "--method", "dpo", "--out", tmp_path / "out",
        "--stop-on", "lenght_gap",
    )  # fmt: skip
    assert outcome.code == 2
    assert "no health warning named 'lenght_gap'. Did you mean 'length_gap'?" in outcome.err


def test_a_named_warning_can_end_a_run(run: Run, rows: Rows, model_folder: Path, tmp_path: Path) -> None:
    data = rows(6)
    lines = [json.loads(line) for line in data.read_text().splitlines()]
    for line in lines:
        line["chosen"]["value"] = line["chosen"]["value"][:9]
        line["rejected"]["value"] *= 4
    data.write_text("\n".join(map(json.dumps, lines)))
    outcome = run(
        "align", "--model", model_folder, "--data", data, "--method", "dpo", "--out", tmp_path / "out",
        "--stop-on", "length_gap", "--samples", "0",
    )  # fmt: skip
    assert outcome.code == 3
    assert "memory: about" in outcome.out
    assert "length_gap" in outcome.err
    assert (tmp_path / "out" / "checkpoints" / "step-00000000").is_dir()
    assert "length_gap" in (tmp_path / "out" / "health.jsonl").read_text()


def test_import_shows_the_mapping_before_it_writes(run: Run, rows: Rows, tmp_path: Path) -> None:
    data = rows(3, bad=2, chosen={"from": "gpt", "value": ""})
    outcome = run("data", "import", data, "--out", tmp_path / "store", "--yes")
    shown, counted = outcome.out.index("->"), outcome.out.index("3 rows read = 2 stored + 1 quarantined")
    assert outcome.code == 0 and shown < counted


def test_check_counts_and_fails_on_a_bad_row(run: Run, rows: Rows) -> None:
    good = run("data", "check", rows(3))
    assert (good.code, "3 rows, 3 usable" in good.out) == (0, True)
    bad = run("data", "check", rows(3, bad=2, rejected=...))
    assert (bad.code, "row 2 of" in bad.out) == (2, True)


def test_show_prints_records_as_they_will_be_trained_on(run: Run, rows: Rows) -> None:
    outcome = run("data", "show", rows(3), "--first", "1")
    record = loads(outcome.out[outcome.out.index("{") :])
    assert record.candidates[0].text == "A plain field number 1."
    assert to_json(record)["messages"][0]["parts"][0]["type"] == "media"


def test_export_and_import_give_the_same_records(run: Run, rows: Rows, tmp_path: Path) -> None:
    assert run("data", "export", rows(3), "--format", "trl_vision", "--out", tmp_path / "trl").code == 0
    outcome = run("data", "check", tmp_path / "trl")
    assert (outcome.code, "trl_vision, 3 rows, 3 usable" in outcome.out) == (0, True)


def test_generate_goes_on_where_it_was_stopped(run: Run, rows: Rows, model_folder: Path, tmp_path: Path) -> None:
    data, out = rows(4), tmp_path / "answers.jsonl"
    common = ("generate", data, "--model", model_folder, "--out", out, "--max-new-tokens", "4", "--batch-size", "2")
    assert run(*common).code == 0
    whole = out.read_text()
    lines = whole.splitlines(keepends=True)
    assert len(lines) == 4
    out.write_text("".join(lines[:2]) + lines[2][:15])  # killed in the middle of a line
    outcome = run(*common)
    assert "2 new answers, 4 in all" in outcome.out
    assert out.read_text() == whole


def test_generate_answers_a_benchmark(run: Run, model_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    outcome = run(
        "generate", "scenes_yes_no", "--model", model_folder, "--out", out, "--limit", "2", "--max-new-tokens", "3"
    )
    assert outcome.code == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["id"] for row in rows] == ["scenes-test-0000000/0", "scenes-test-0000000/1"]
    assert {row["fields"]["target"] for row in rows} <= {"yes", "no"}


def test_a_method_of_the_users_own_file_trains(run: Run, rows: Rows, model_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "my_hinge.py"
    file.write_text(
        '"""my_hinge: a hinge.\n\nSource: own.\n"""\n'
        "from boresight.objectives import Objective, pairwise, view\n"
        "from boresight.training.spec import Method\n"
        'MEMBER = Method(objective=Objective((pairwise(view("chosen"), view("rejected"), link="hinge"),)))\n'
    )
    align(run, model_folder, rows(10), tmp_path / "out", method=str(file))
    assert '"run": "my_hinge"' in (tmp_path / "out" / "results.json").read_text()
