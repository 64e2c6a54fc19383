"""Records as JSON and back."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boresight.errors import RecordError
from boresight.records import Candidate, Media, Message, Part, Record, dumps, from_json, loads, to_json
from boresight.records.codec import MAX_DEPTH

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)
_SCALARS = {
    str: st.text(max_size=8),
    int: st.integers(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
}


def any_value(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a type hint of `record.py`."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.none() | any_value(next(arg for arg in args if arg is not type(None)))
    if origin is typing.Literal:
        return st.sampled_from(args)
    if origin is tuple and args[-1] is Ellipsis:
        return st.lists(any_value(args[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(any_value, args))
    if dataclasses.is_dataclass(hint):
        return any_instance(typing.cast(type[Any], hint))
    return _SCALARS.get(hint, st.dictionaries(st.text(max_size=4), _JSON, max_size=2))


def any_instance(cls: type[Any]) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls)
    return st.builds(cls, **{field.name: any_value(hints[field.name]) for field in dataclasses.fields(cls)})


def minimal(**fields: Any) -> dict[str, Any]:
    return {"id": "a", "task": "prompt", "messages": [], **fields}


@settings(max_examples=60, deadline=None)
@given(any_instance(Record))
def test_any_record_survives_json(record: Record) -> None:
    assert loads(dumps(record)) == record


def test_every_field_set_is_written_and_read_back() -> None:
    medium = Media(id="m", kind="video", uri="v.mp4", clip_s=(0.5, 2.0), frames=("f",), meta={"k": [1, None]})
    record = Record(
        id="a",
        task="sft",
        messages=(Message(role="user", parts=(Part(type="media", media="m"),), loss_weight=0.0),),
        media=(medium,),
        candidates=(Candidate(id="c", messages=(), label=False),),
    )
    assert to_json(record)["media"][0]["clip_s"] == [0.5, 2.0]
    assert to_json(record)["candidates"] == [{"id": "c", "messages": [], "label": False}]
    assert to_json(record)["messages"][0]["loss_weight"] == 0.0
    assert from_json(Record, to_json(record)) == record


def test_fields_at_their_default_are_left_out() -> None:
    assert to_json(Record(id="a", task="prompt", messages=())) == minimal()


def test_an_unknown_field_is_refused_with_its_path_and_the_nearest_name() -> None:
    row = minimal(candidates=[{"id": "c", "messages": [], "rnak": 1}])
    with pytest.raises(RecordError, match=r"record\.candidates\[0\] has an unknown field 'rnak'. Did you mean 'rank'"):
        from_json(Record, row)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": "pairs"}, "record.task must be one of preference"),
        ({"id": 3}, "record.id must be text, got int 3"),
        ({"tags": "a"}, "record.tags must be a list, got text"),
        ({"extra": []}, "record.extra must be an object, got a list"),
        ({"tools": [1]}, r"record.tools\[0\] must be an object"),
        ({"candidates": [{"id": "c", "messages": [], "rank": True}]}, "rank must be a whole number, got true or false"),
        ({"candidates": [{"id": "c", "messages": [], "label": 1}]}, "label must be true or false, got int 1"),
        ({"media": [{"id": "m", "kind": "image", "fps": "x"}]}, "fps must be a number, got text"),
        ({"media": [{"id": "m", "kind": "image", "clip_s": [1]}]}, "clip_s must have 2 entries, got 1"),
        ({"media": [{"id": "m", "kind": "image", "fps": 10**400}]}, "fps is too large"),
        ({"candidates": ["c"]}, r"record.candidates\[0\] must be an object, got text"),
        ({"extra": {"x": float("nan")}}, "record.extra.x is nan; numbers must be finite"),
        ({"extra": {"x": (1,)}}, "record.extra.x holds tuple"),
        ({"extra": {1: 2}}, "record.extra has the key 1; JSON keys are text"),
    ],
)
def test_a_wrong_type_is_refused_with_its_path(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        from_json(Record, minimal(**fields))


def test_a_missing_field_is_named() -> None:
    with pytest.raises(RecordError, match="record has no field 'messages', which every Record needs"):
        from_json(Record, {"id": "a", "task": "prompt"})


def test_a_record_that_json_cannot_say_is_not_written() -> None:
    with pytest.raises(RecordError, match=r"extra.x holds bytes"):
        to_json(Record(id="a", task="prompt", messages=(), extra={"x": b"1"}))


def test_deep_nesting_is_refused_before_it_ends_the_recursion() -> None:
    deep: Any = 0
    for _ in range(MAX_DEPTH + 2):
        deep = [deep]
    with pytest.raises(RecordError, match="nests deeper than 64 levels"):
        from_json(Record, minimal(extra={"x": deep}))


def test_whole_numbers_become_floats_where_floats_belong() -> None:
    medium = from_json(Media, {"id": "m", "kind": "video", "fps": 30})
    assert isinstance(medium.fps, float) and medium.fps == 30.0


def test_a_line_that_is_not_json_is_refused() -> None:
    with pytest.raises(RecordError, match="not valid JSON"):
        loads("{")


def test_the_line_is_readable_by_any_json_reader() -> None:
    record = Record(id="é", task="prompt", messages=(), extra={"n": 1.5})
    assert json.loads(dumps(record)) == {"id": "é", "task": "prompt", "messages": [], "extra": {"n": 1.5}}
