"""Which items are shown, and how claims are marked."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boresight.reports.gallery import PER_KIND, gallery, kind_of, segments
from boresight.reports.stored import Claim, Response

patient = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])


def claim(start, end, verdict="true", text=None):
    return Claim(start=start, end=end, verdict=verdict, claim=text or f"{start}-{end}")


def response(num_true=0, num_false=0, item_id="i", claims=()):
    marks = [claim(0, 1, "true", f"t{i}") for i in range(num_true)]
    marks += [claim(0, 1, "false", f"f{i}") for i in range(num_false)]
    return Response(item_id=item_id, prompt="p", response="text", num_tokens=1, image=None, claims=(*marks, *claims))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((2, 1), (2, 0), "improved"),
        ((2, 1), (3, 1), "improved"),
        ((2, 1), (2, 1), "unchanged"),
        ((2, 1), (2, 2), "worse"),
        ((2, 1), (1, 1), "worse"),
        ((2, 1), (1, 0), "mixed"),
        ((2, 1), (3, 2), "mixed"),
    ],
)
def test_a_change_is_judged_by_true_and_false_claims(before, after, expected):
    assert kind_of(response(*before), response(*after)) == expected


def test_repeating_a_true_claim_is_no_improvement():
    repeated = response(2, 0, claims=(claim(1, 2, "true", "t0"),))
    assert kind_of(response(2, 0), repeated) == "unchanged"


def test_responses_nobody_judged_are_not_called_unchanged():
    unjudged = Response(item_id="i", prompt="", response="", num_tokens=None, image=None, claims=None)
    assert kind_of(unjudged, response(1, 1)) == "unjudged"


def test_failures_are_shown_as_readily_as_successes(tmp_path):
    """Fifty improved and three worse items: six and three cards, and the true totals."""
    base = {f"i{i}": response(1, 1, f"i{i}") for i in range(53)}
    run = {f"i{i}": response(1, 0 if i < 50 else 2, f"i{i}") for i in range(53)}
    shown = gallery(tmp_path, {"base": base, "dpo": run}, ["base", "dpo"], "dpo")
    assert shown.totals == {"improved": 50, "worse": 3}
    assert shown.shown == {"improved": PER_KIND, "worse": 3}
    assert [card.kind for card in shown.cards] == ["improved"] * PER_KIND + ["worse"] * 3


def test_the_choice_of_items_does_not_depend_on_their_order(tmp_path):
    ids = [f"i{i}" for i in range(40)]
    base = {i: response(1, 1, i) for i in ids}
    run = {i: response(1, 0, i) for i in ids}
    one = gallery(tmp_path, {"base": base, "dpo": run}, ["base", "dpo"], "dpo")
    other = gallery(tmp_path, {"base": dict(reversed(base.items())), "dpo": run}, ["base", "dpo"], "dpo")
    chosen = [card.item_id for card in one.cards]
    assert chosen == [card.item_id for card in other.cards]
    assert chosen != ids[:PER_KIND]


def test_columns_follow_the_order_of_the_runs(tmp_path):
    responses = {run: {"i": response(item_id="i")} for run in ("zeta", "alpha", "base")}
    shown = gallery(tmp_path, responses, ["base", "zeta", "alpha"], "alpha")
    assert shown.run == "alpha"
    assert [column.run for column in shown.cards[0].columns] == ["base", "zeta", "alpha"]


@pytest.mark.parametrize("runs", [{}, {"base": {}}, {"dpo": {}}])
def test_there_is_no_gallery_without_two_runs(tmp_path, runs):
    assert gallery(tmp_path, runs, list(runs), None) is None


def test_a_false_claim_inside_a_true_one_stays_visible():
    parts = segments("a red circle here", [claim(0, 17, "true", "whole"), claim(2, 5, "false", "red")])
    assert [(p.text, p.verdict, p.is_end) for p in parts] == [
        ("a ", "true", False),
        ("red", "false", True),
        (" circle here", "true", True),
    ]


def test_text_outside_claims_is_unmarked():
    parts = segments("a red circle", [claim(2, 5, "off_topic", "red")])
    assert [(p.text, p.verdict) for p in parts] == [("a ", None), ("red", "off_topic"), (" circle", None)]


@patient
@given(
    st.text(max_size=40),
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(0, 50), st.sampled_from(["true", "false", "off_topic"])), max_size=8
    ),
)
def test_marking_never_loses_nor_reorders_text(text, raw):
    claims = [claim(min(a, b), max(a, b), verdict) for a, b, verdict in raw]
    parts = segments(text, claims)
    assert "".join(part.text for part in parts) == text
    for index, character_end in enumerate(range(1, len(text) + 1)):
        over = {c.verdict for c in claims if c.start <= index and c.end >= character_end}
        shown = _verdict_at(parts, index)
        assert shown == next((v for v in ("false", "true", "off_topic") if v in over), None)


def _verdict_at(parts, index):
    for part in parts:
        if index < len(part.text):
            return part.verdict
        index -= len(part.text)
    raise AssertionError


def test_a_picture_is_embedded_whole(folder):
    line = json.loads((folder / "responses" / "base.jsonl").read_text().splitlines()[0])
    only = Response(item_id="i", prompt="", response="", num_tokens=0, image=line["image"], claims=None)
    shown = gallery(folder, {"base": {"i": only}, "dpo": {"i": only}}, ["base", "dpo"], None)
    assert shown.cards[0].picture.startswith("data:image/png;base64,iVBOR")
    assert shown.cards[0].columns[0].is_empty
