"""Ways of making pairs: which sample wins, and pictures that were cut."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from boresight.data.construct.cropped_picture import cropped_pair
from boresight.data.construct.own_samples import Sample, record_from_samples
from boresight.records import Candidate, Media, Message, Part, Record, check_record, dumps, loads

PICTURE = Media(id="picture", kind="image", sha256="ab" * 32)


def record(*samples: Sample) -> Record | None:
    return record_from_samples(
        "r", "Describe it.", PICTURE, samples, model="m", sampling={"temperature": 1.0}, pipeline="test"
    )


def texts(found: Record | None) -> tuple[str, str] | None:
    if found is None:
        return None
    (preference,) = found.preferences
    return found.candidate(preference.chosen).text, found.candidate(preference.rejected).text


def test_the_truest_and_fullest_sample_wins_over_the_worst() -> None:
    found = record(
        Sample(text="good", covered=3, false_mentions=0),
        Sample(text="middling", covered=3, false_mentions=1),
        Sample(text="bad", covered=2, false_mentions=2),
    )
    assert texts(found) == ("good", "bad")
    assert found is not None and found.preferences[0].margin == 3.0


def test_saying_less_never_wins_over_saying_more_truth() -> None:
    """Shorter and cleaner against fuller with one slip: neither dominates, so there is no pair."""
    short = Sample(text="short", covered=1, false_mentions=0)
    full = Sample(text="full", covered=3, false_mentions=1)
    assert record(short, full) is None


def test_equal_empty_or_single_samples_make_no_pair() -> None:
    one = Sample(text="same", covered=1, false_mentions=0)
    assert record(one, one) is None
    assert record(one, Sample(text="", covered=0, false_mentions=0)) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=6))
def test_the_chosen_sample_is_never_worse_in_either_respect(counts: list[tuple[int, int]]) -> None:
    samples = [Sample(text=f"text {i}", covered=c, false_mentions=f) for i, (c, f) in enumerate(counts)]
    found = record(*samples)
    if found is None:
        return
    by_text = {s.text: s for s in samples}
    chosen, rejected = (by_text[text] for text in texts(found) or ())
    assert chosen.covered >= rejected.covered
    assert chosen.false_mentions <= rejected.false_mentions
    assert (chosen.covered, chosen.false_mentions) != (rejected.covered, rejected.false_mentions)
    check_record(found)
    assert loads(dumps(found)) == found


def test_a_cropped_pair_differs_in_its_picture_alone() -> None:
    stored: dict[str, bytes] = {}

    def add(data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        stored[sha256] = data
        return sha256

    answer = Candidate(id="a", messages=(Message(role="assistant", parts=(Part(type="text", text="a field"),)),))
    prompt = Message(role="user", parts=(Part(type="media", media="picture"), Part(type="text", text="What?")))
    source = Record(id="r", task="sft", messages=(prompt,), media=(PICTURE,), candidates=(answer,))
    image = Image.linear_gradient("L").resize((200, 100)).convert("RGB")
    pair = cropped_pair(source, lambda medium: image, add)
    check_record(pair)
    (preference,) = pair.preferences
    assert preference.kind == "media"
    chosen, rejected = pair.candidate(preference.chosen), pair.candidate(preference.rejected)
    assert chosen.messages == rejected.messages and chosen.media_map == ()
    (swap,) = rejected.media_map
    piece = pair.medium(swap.use)
    assert swap.slot == "picture" and piece.sha256 in stored
    assert piece.derived is not None and piece.derived.source == "picture"
    share = (piece.width_px or 0) * (piece.height_px or 0) / (200 * 100)
    assert 0.009 < share < 0.21
    assert cropped_pair(source, lambda medium: image, add) == pair
