# ruff: noqa: RUF001 - look-alike letters are the point
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from boresight.benchmarks import mmhal_bench
from boresight.benchmarks._benchmark import Assets, Response, Submission
from boresight.errors import InputError
from boresight.judges.rubric import Judgement

NOTHING = Assets(benchmark="mmhal_bench")

# Reply of the judge, and its rating as the authors read it and strictly. Worked by hand.
REPLIES: list[tuple[str, int | None, int | None]] = [
    *((f"Rating: {n}", n, n) for n in range(7)),
    ("It is fine. Rating: 5, very informative", 5, 5),
    ("rating: 4", 4, 4),
    ("RATING: 4", 4, 4),
    ("- Rating: 6, very informative", 6, 6),
    ("**Rating: 3**", 3, 3),
    ("**Rating:** 3", None, 3),
    ("Rating:3", None, 3),
    ("Rating 3", None, 3),
    ("Rating - 2", None, 2),
    ("Rating: 2\nRating: 4", None, 4),
    ("Rating: 4. Again, rating: 4", 4, 4),
    ("Rating: 7", None, None),
    ("Rating: 10", 1, None),
    ("Rating: 3.5", 3, None),
    ("Rating: -1", None, 1),
    ("My rating is five", None, None),
    ("5", None, None),
    ("5/6", None, None),
    ("", None, None),
    ("I'm sorry, I can't rate this.", None, None),
    ("Ｒating: 5", None, None),
    ("Rating: ５", None, None),
    ("评分: 5", None, None),
    ("Score: 5", None, None),
    ("Rating: six", None, None),
    ("Rating: 0 to 6: I give 5", 0, 0),
]


@pytest.mark.parametrize(("text", "officially", "cleanly"), REPLIES)
def test_a_reply_is_read_as_worked_by_hand(text: str, officially: int | None, cleanly: int | None) -> None:
    assert (mmhal_bench.only_rating(text), mmhal_bench.last_rating(text)) == (officially, cleanly)


def rated(*replies: str) -> Submission:
    rows = [
        Response(id=str(i), group=str(i), text="", fields={"type": mmhal_bench.TYPES[i % 8]})
        for i in range(len(replies))
    ]
    return Submission(
        responses=tuple(rows), judgements=tuple(Judgement(id=str(i), text=t) for i, t in enumerate(replies))
    )


def values(submission: Submission, scorer: str = "official") -> list[float | None]:
    found = mmhal_bench.MEMBER.scorers[scorer](submission, NOTHING).estimates()
    return [found[name].value for name in ("score", "hallucination_rate", "informativeness")]


def test_the_figures_of_four_ratings() -> None:
    """6, 3, 2, 1: mean 3; two below 3; informativeness 3 + 0 + 2 + 1 = 6 of 12."""
    assert values(rated("Rating: 6", "Rating: 3", "Rating: 2", "Rating: 1")) == pytest.approx([3, 0.5, 50])


def test_an_unreadable_reply_is_a_hallucination_officially_and_unparsed_cleanly() -> None:
    replies = rated("Rating: 6", "no idea")
    assert values(replies) == pytest.approx([3, 0.5, 50])
    assert values(replies, "clean") == pytest.approx([6, 0, 100])
    assert mmhal_bench.clean(replies, NOTHING).statuses == {"scored": 1, "unparsed": 1}


def test_question_types_follow_the_authors_order() -> None:
    found = mmhal_bench.official(rated(*(f"Rating: {n % 7}" for n in range(8))), NOTHING).metrics
    assert found["score/attribute"].value == 0
    assert found["score/holistic"].value == 6
    assert found["score/other"].value == 0


def test_scoring_without_a_judgement_is_refused() -> None:
    with pytest.raises(InputError, match="Run `boresight judge`"):
        mmhal_bench.official(Submission(responses=rated("x").responses), NOTHING)


def test_the_authors_files_are_read(score: Callable[..., Any], tmp_path: Path) -> None:
    answers = [
        {"image_id": "a", "image_content": ["Cat"], "question": "q", "gt_answer": "g", "model_answer": f"m{i}"}
        for i in range(96)
    ]
    replies = [{"choices": [{"message": {"content": "Rating: 4"}}], "model": "gpt-4-0314"}] * 96
    (tmp_path / "responses.json").write_text(json.dumps(answers), encoding="utf-8")
    (tmp_path / "review.json").write_text(json.dumps(replies), encoding="utf-8")
    found = score("mmhal_bench", tmp_path / "responses.json", tmp_path / "review.json")
    assert (found["metrics"]["score"], found["metrics"]["hallucination_rate"], found["notes"]) == (4, 0, [])
    assert found["key"]["judges"] == ["gpt-4-0314"]
    assert sum(name.startswith("score/") for name in found["metrics"]) == len(mmhal_bench.TYPES)


def test_replies_and_answers_must_go_together(tmp_path: Path) -> None:
    row = {"image_content": [], "question": "q", "gt_answer": "g", "model_answer": "m"}
    (tmp_path / "a.json").write_text(json.dumps([row, row]), encoding="utf-8")
    (tmp_path / "b.json").write_text(json.dumps([{"choices": [{"message": {"content": ""}}]}]), encoding="utf-8")
    with pytest.raises(InputError, match="2 answers but 1 replies"):
        mmhal_bench.native([tmp_path / "a.json", tmp_path / "b.json"], NOTHING)


def test_our_question_to_the_judge_is_filled_and_the_authors_comes_from_their_file() -> None:
    facts = {"contents": "Cat", "question": "Color?", "reference": "Black.", "type": "attribute"}
    own = mmhal_bench.MEMBER.rubrics["own"].ask("It is {question}.", facts)[""].prompt
    assert "The model's answer: It is {question}.\n" in own
    script = "template = '''C {} Q {} G {} R {}'''\n"
    theirs = mmhal_bench.MEMBER.rubrics["official"].ask("Red", {**facts, "assets": {"eval_gpt_mmhal.py": script}})
    assert theirs[""].prompt == "C Cat Q Color? G Black. R Red"


@given(st.lists(st.integers(0, 6), min_size=1, max_size=24))
@example([6] * 5)
def test_figures_stay_in_range_and_follow_the_ratings(ratings: list[int]) -> None:
    mean, rate, informative = values(rated(*(f"Rating: {n}" for n in ratings)))
    assert mean == pytest.approx(sum(ratings) / len(ratings))
    assert rate == pytest.approx(sum(n < 3 for n in ratings) / len(ratings))
    assert 0 <= (informative or 0) <= 100
