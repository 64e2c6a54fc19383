"""Bad input ends a run before any training, with one line that names file, row and fix."""

from __future__ import annotations

import fcntl
import struct
import zlib
from pathlib import Path

import pytest
from cli_examples import Rows, jpeg

from boresight.cli.jobs import make_job
from boresight.errors import UsageError
from command_line import Outcome, Run


def assert_refused(outcome: Outcome, *words: str) -> None:
    """Exit code 2, one line on standard error, no training, and every word in it."""
    assert outcome.code == 2
    assert "step " not in outcome.out
    lines = outcome.err.strip().splitlines()
    assert len(lines) == 1, lines
    assert [word for word in words if word not in lines[0]] == []


def test_a_missing_column_is_refused(run: Run, rows: Rows, model_folder: Path, tmp_path: Path) -> None:
    data = rows(bad=3, rejected=...)
    outcome = run("align", "--model", model_folder, "--data", data, "--method", "dpo", "--out", tmp_path / "out")
    assert_refused(outcome, "row 3 of", "rows.jsonl", "rejected")


def test_an_empty_chosen_is_refused(run: Run, rows: Rows, model_folder: Path, tmp_path: Path) -> None:
    data = rows(bad=2, chosen={"from": "gpt", "value": " "})
    outcome = run("align", "--model", model_folder, "--data", data, "--method", "dpo", "--out", tmp_path / "out")
    assert_refused(outcome, "row 2 of", "rows.jsonl", "empty")


def test_equal_answers_are_refused(run: Run, rows: Rows, model_folder: Path, tmp_path: Path) -> None:
    same = {"from": "gpt", "value": "The same."}
    data = rows(bad=2, chosen=same, rejected=same)
    outcome = run("align", "--model", model_folder, "--data", data, "--method", "dpo", "--out", tmp_path / "out")
    assert_refused(outcome, "row 2 of", "rows.jsonl", "same")


def test_a_placeholder_inside_user_text_is_refused(run: Run, rows: Rows, model_folder: Path, tmp_path: Path) -> None:
    data = rows(bad=4, rejected={"from": "gpt", "value": "I see <|image_pad|> here."})
    outcome = run("align", "--model", model_folder, "--data", data, "--method", "dpo", "--out", tmp_path / "out")
    assert_refused(outcome, "row 4 of", "rows.jsonl", "<|image_pad|>")


def test_a_special_token_of_the_model_is_refused(run: Run, rows: Rows, model_folder: Path, tmp_path: Path) -> None:
    data = rows(bad=4, rejected={"from": "gpt", "value": "It ends </s> here."})
    outcome = run(
        "align", "--model", model_folder, "--data", data, "--method", "dpo", "--holdout", "0", "--out", tmp_path / "out"
    )
    assert_refused(outcome, "row 4 of", "rows.jsonl", "</s>", "special token")


@pytest.mark.parametrize(("images", "count"), [(["1.png", "2.png"], "2"), ([], "0")])
def test_pictures_without_places_are_refused(
    run: Run, rows: Rows, model_folder: Path, tmp_path: Path, images: list[str], count: str
) -> None:
    data = rows(bad=1, images=images)
    outcome = run("align", "--model", model_folder, "--data", data, "--method", "dpo", "--out", tmp_path / "out")
    assert_refused(outcome, "row 1 of", "rows.jsonl", count)


def test_a_truncated_jpeg_is_refused(run: Run, rows: Rows, model_folder: Path, tmp_path: Path) -> None:
    data = rows(bad=2, images=["cut.jpg"])
    whole = jpeg()
    (data.parent / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    outcome = run("align", "--model", model_folder, "--data", data, "--method", "dpo", "--out", tmp_path / "out")
    assert_refused(outcome, "row 2 of", "rows.jsonl", "cut.jpg", "cut off")


def test_a_png_bomb_is_refused(run: Run, rows: Rows, model_folder: Path, tmp_path: Path) -> None:
    data = rows(bad=2, images=["bomb.png"])
    (data.parent / "bomb.png").write_bytes(_bomb(50_000, 50_000))
    outcome = run("align", "--model", model_folder, "--data", data, "--method", "dpo", "--out", tmp_path / "out")
    assert_refused(outcome, "row 2 of", "rows.jsonl", "bomb.png", "too large")


def test_a_path_outside_the_root_is_refused(run: Run, rows: Rows, model_folder: Path, tmp_path: Path) -> None:
    data = rows(bad=2, images=["../secret.jpg"])
    (tmp_path / "secret.jpg").write_bytes(jpeg())
    outcome = run("align", "--model", model_folder, "--data", data, "--method", "dpo", "--out", tmp_path / "out")
    assert_refused(outcome, "row 2 of", "rows.jsonl", "secret.jpg", "outside")


def test_the_same_path_is_read_when_the_user_allows_it(
    run: Run, rows: Rows, model_folder: Path, tmp_path: Path
) -> None:
    data = rows(bad=2, images=["../secret.jpg"])
    (tmp_path / "secret.jpg").write_bytes(jpeg())
    outcome = run(
        "align", "--model", model_folder, "--data", data, "--method", "dpo", "--allow-outside", "--dry-run",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")


def test_a_prompt_too_long_for_the_model_is_refused(run: Run, rows: Rows, model_folder: Path, tmp_path: Path) -> None:
    long = [{"from": "human", "value": "<image>" + "describe the sky " * 300}]
    data = rows(bad=3, conversations=long)
    outcome = run(
        "align", "--model", model_folder, "--data", data, "--method", "dpo", "--holdout", "0", "--out", tmp_path / "out"
    )
    assert_refused(outcome, "row 3 of", "rows.jsonl", "prompt has", "at most 400")


def test_an_answer_that_would_be_cut_is_refused(run: Run, rows: Rows, model_folder: Path, tmp_path: Path) -> None:
    data = rows(bad=3, rejected={"from": "gpt", "value": "a small red circle " * 300})
    outcome = run(
        "align", "--model", model_folder, "--data", data, "--method", "dpo", "--holdout", "0", "--out", tmp_path / "out"
    )
    assert_refused(outcome, "row 3 of", "rows.jsonl", "'rejected' would be cut", "at most 400")


def test_a_text_model_given_pictures_is_refused(run: Run, rows: Rows, text_model_folder: Path, tmp_path: Path) -> None:
    outcome = run("align", "--model", text_model_folder, "--data", rows(), "--method", "dpo", "--out", tmp_path / "out")
    assert_refused(outcome, "rows.jsonl", "model of text only")


def test_an_output_folder_in_use_is_refused(run: Run, rows: Rows, model_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with (out / "run.lock").open("w") as holder:
        holder.write("4711")
        holder.flush()
        fcntl.flock(holder, fcntl.LOCK_EX)
        outcome = run("align", "--model", model_folder, "--data", rows(), "--method", "dpo", "--out", out)
    assert_refused(outcome, str(out), "in use", "4711")


def test_a_checkpoint_with_a_flipped_bit_is_refused(run: Run, rows: Rows, model_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    common = ("align", "--model", model_folder, "--data", rows(), "--method", "dpo", "--out", out, "--samples", "0")
    assert run(*common).code == 0
    (weights,) = (out / "checkpoints").glob("*/weights.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert_refused(run(*common, "--resume"), "weights.safetensors", "changed after it was written")


def test_a_loss_that_is_not_a_number_ends_the_run(run: Run, rows: Rows, model_folder: Path, tmp_path: Path) -> None:
    outcome = run(
        "align", "--model", model_folder, "--data", rows(8), "--method", "dpo", "--out", tmp_path / "out",
        "--set", "stages.0.learning_rate=1e30", "--set", "stages.0.batch_items=2", "--set", "stages.0.warmup=0",
        "--samples", "0",
    )  # fmt: skip
    assert outcome.code == 2
    (line,) = [line for line in outcome.err.splitlines() if "warning" not in line]
    assert "not finite" in line or "loss is" in line
    assert "items rows" in line and "learning rate" in line


def test_an_unknown_method_suggests_the_nearest(run: Run, rows: Rows, model_folder: Path, tmp_path: Path) -> None:
    outcome = run("align", "--model", model_folder, "--data", rows(), "--method", "dop", "--out", tmp_path / "out")
    assert_refused(outcome, "no method named 'dop'", "Did you mean 'dpo'?")


def test_an_unknown_setting_suggests_the_nearest(run: Run, rows: Rows, model_folder: Path, tmp_path: Path) -> None:
    outcome = run(
        "align", "--model", model_folder, "--data", rows(), "--method", "dpo", "--out", tmp_path / "out",
        "--set", "objective.0.betta=1",
    )  # fmt: skip
    assert_refused(outcome, "betta", "Did you mean 'beta'?")


def test_a_missing_model_is_refused(run: Run, rows: Rows, tmp_path: Path) -> None:
    outcome = run("align", "--model", tmp_path / "none", "--data", rows(), "--method", "dpo", "--out", tmp_path / "out")
    assert_refused(outcome, "none")


def test_a_file_in_place_of_the_output_folder_is_refused(
    run: Run, rows: Rows, model_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").touch()
    outcome = run("align", "--model", model_folder, "--data", rows(), "--method", "dpo", "--out", tmp_path / "out")
    assert_refused(outcome, "cannot make the folder", "--out")


@pytest.mark.parametrize("reference", ["none", "adapter_off"])
def test_a_reference_that_cannot_work_is_refused_before_the_model_is_loaded(
    run: Run, rows: Rows, tmp_path: Path, reference: str
) -> None:
    outcome = run(
        "align", "--model", tmp_path / "no-model", "--data", rows(), "--method", "dpo", "--out", tmp_path / "out",
        "--set", f"run.reference={reference}",
    )  # fmt: skip
    assert_refused(outcome, f"run.reference={reference}")


def _bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


OWN = """
from boresight.objectives import Objective, pairwise, view
from boresight.training.spec import Method

MEMBER = Method(objective=Objective((pairwise(view("chosen"), view("rejected"), beta=0.1),)))
VARIANTS = {"strict": Method(objective=Objective((pairwise(view("chosen"), view("rejected"), beta=0.5),)))}
"""


def test_a_variant_of_ones_own_method_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    named = [
        make_job(data=[], method=method, sets=[], stop_on=(), model="m", out=tmp_path).method_name
        for method in (f"{tmp_path}/mine.py", f"{tmp_path}/mine.py:strict", "dpo", "dpo:ipo")
    ]
    assert named == ["mine", "mine:strict", "dpo", "dpo:ipo"]


def test_a_setting_of_the_run_is_named_as_it_was_given(tmp_path: Path) -> None:
    for given, why in (
        ("run.presicion=float32", "--set run.presicion: no field 'presicion'. Did you mean 'precision'?"),
        ("run.seed=x", "--set run.seed: expected a whole number, got 'x'."),
        ("run.seed.x=1", "--set run.seed.x: 'x' lies inside a plain value"),
    ):
        with pytest.raises(UsageError) as refused:
            make_job(data=[], method="dpo", sets=[given], stop_on=(), model="m", out=tmp_path)
        assert str(refused.value).startswith(why)


def test_a_method_that_an_editor_began_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(f'"""mine: marked."""{OWN}', encoding="utf-8-sig")
    job = make_job(data=[], method=f"{tmp_path}/mine.py", sets=[], stop_on=(), model="m", out=tmp_path)
    assert job.method_about.startswith("marked.")


def test_a_colon_in_a_folder_is_no_variant(tmp_path: Path) -> None:
    """The longest path that is a file is the file."""
    folder = tmp_path / "tuned:twice"
    folder.mkdir()
    (folder / "mine.py").write_text(f'"""mine: of a folder with a colon."""{OWN}')
    for method, name, beta in ((f"{folder}/mine.py", "mine", 0.1), (f"{folder}/mine.py:strict", "mine:strict", 0.5)):
        job = make_job(data=[], method=method, sets=[], stop_on=(), model="m", out=tmp_path)
        assert (job.method_name, job.method.objective.terms[0].beta) == (name, beta)
        assert job.method_about.startswith("of a folder with a colon.")
    with pytest.raises(UsageError, match=r"no file '.*tuned:twice/none\.py'"):
        make_job(data=[], method=f"{folder}/none.py", sets=[], stop_on=(), model="m", out=tmp_path)


def test_a_method_cannot_be_called_what_results_call_the_model_before(tmp_path: Path) -> None:
    (tmp_path / "base.py").write_text(OWN)
    with pytest.raises(UsageError, match="results call the model before training 'base'"):
        make_job(data=[], method=f"{tmp_path}/base.py", sets=[], stop_on=(), model="m", out=tmp_path)
