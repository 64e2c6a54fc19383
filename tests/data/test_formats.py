"""Each public layout: row to record, record to row, and back again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from boresight import registry
from boresight.data.formats._format import Format, Place
from boresight.data.importing import FORMATS
from boresight.data.rows import read_rows
from boresight.errors import RecordError
from boresight.records import Record, check_record

PLACE = Place(dataset="d", row=1)


def read(name: str, row: dict[str, Any]) -> Record:
    format: Format = registry.load(FORMATS, name)
    assert format.detect(row)
    record = format.to_record(row, PLACE)
    check_record(record)
    return record


def parts(record: Record) -> list[list[str]]:
    """Each prompt turn as what it holds: text, or the medium's path."""
    return [
        [part.text or "" if part.media is None else f"@{record.medium(part.media).uri}" for part in turn.parts]
        for turn in record.messages
    ]


HUMAN, GPT = {"from": "human", "value": "Q?"}, {"from": "gpt", "value": "A."}
IMAGE_HUMAN = {"from": "human", "value": "<image>\nQ"}
USER, ASSISTANT = {"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}
BUNNY = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the user's questions. USER: <image>\nQ? ASSISTANT:"
)


def typed(role: str, *values: tuple[str, str], key: str = "value", **more: Any) -> dict[str, Any]:
    """A turn with typed content."""
    return {"role": role, "content": [{"type": type, key: value} for type, value in values], **more}


ROWS: dict[str, list[dict[str, Any]]] = {
    "boresight": [
        {"id": "a", "task": "prompt", "messages": [{"role": "user", "parts": [{"type": "text", "text": "Q"}]}]}
    ],
    "llama_factory_sharegpt": [
        {"messages": [{"role": "user", "content": "<image>Q<image>?"}], "images": ["a", "b"], "note": {"k": [1]}},
        {"conversations": [HUMAN, GPT], "system": "Be brief.", "tools": '[{"name": "f"}]', "id": 7},
        {
            "conversations": [
                HUMAN,
                {"from": "function_call", "value": "{}"},
                {"from": "observation", "value": "3"},
                GPT,
            ]
        },
        {
            "messages": [{"role": "user", "content": "<video><audio>Q"}, ASSISTANT],
            "videos": [["f0.png", "f1.png"]],
            "audios": ["a.wav"],
        },
    ],
    "llama_factory_ranking": [
        {
            "conversations": [{"from": "human", "value": "<image>Q"}],
            "chosen": GPT,
            "rejected": {"from": "gpt", "value": "B."},
            "images": ["a"],
        },
    ],
    "llama_factory_kto": [{"messages": [USER, ASSISTANT], "label": False}],
    "llama_factory_v1": [
        {
            "messages": [
                typed("user", ("audio_url", "a.wav"), ("text", "Q")),
                typed("assistant", ("reasoning", "Hm."), ("text", "A"), loss_weight=1.0),
            ]
        },
        {
            side: [typed("user", ("text", "Q"), loss_weight=0.0), typed("assistant", ("text", side))]
            for side in ("chosen_messages", "rejected_messages")
        },
    ],
    "llava": [
        {"id": "7", "image": "a.jpg", "conversations": [{"from": "human", "value": "Q?\n<image>"}, GPT], "model": "x"},
        {
            "image": ["a.jpg", "b.jpg"],
            "conversations": [{"from": "human", "value": "<image>\n<image>\nQ <image-free>"}],
        },
        {
            "image": "a.jpg",
            "conversations": [IMAGE_HUMAN, GPT],
            "rejected_conversations": [IMAGE_HUMAN, {"from": "gpt", "value": "B."}],
        },
    ],
    "mdpo": [{"img_path": "a.jpg", "chosen": "A", "rejected": "B", "prompt": BUNNY}],
    "trl_standard": [
        {"prompt": "Q", "chosen": "A", "rejected": "B", "score": 1.5},
        {"prompt": "Q", "completion": "A", "label": True},
        {"prompt": "Q", "completion": "A"},
        {"prompt": "Q"},
        {"prompt": "Q", "completions": ["First.", " Then."], "labels": [True, False]},
    ],
    "trl_conversational": [
        {
            "prompt": [USER],
            "chosen": [ASSISTANT],
            "rejected": [{"role": "assistant", "content": "B"}],
            "tools": [{"name": "f"}],
        },
        {side: [USER, {"role": "assistant", "content": side}] for side in ("chosen", "rejected")},
    ],
    "trl_vision": [
        {
            "prompt": [{"role": "user", "content": [{"type": "text", "text": "Q"}, {"type": "image", "text": None}]}],
            "images": ["a"],
            "chosen": [typed("assistant", ("text", "A"), key="text")],
            "rejected": [typed("assistant", ("text", "B"), key="text")],
        },
        {"prompt": "Q", "completion": "A", "image": "a"},
    ],
}


def test_every_layout_has_rows_here() -> None:
    assert sorted(ROWS) == registry.names(FORMATS)


@pytest.mark.parametrize("name", ROWS)
def test_export_and_import_again_give_the_same_record(name: str) -> None:
    format: Format = registry.load(FORMATS, name)
    for row in ROWS[name]:
        record = read(name, row)
        again = json.loads(json.dumps(format.from_record(record)))
        assert format.detect(again)
        assert format.to_record(again, PLACE) == record


@pytest.mark.parametrize("name", ROWS)
def test_exactly_its_own_layout_detects_a_row_or_the_others_read_it_alike(name: str) -> None:
    for row in ROWS[name]:
        mine = read(name, row)
        for other in registry.names(FORMATS):
            format: Format = registry.load(FORMATS, other)
            if format.detect(row):
                assert format.to_record(row, PLACE) == mine, other


@pytest.mark.parametrize("name", [name for name in ROWS if name != "boresight"])
def test_keys_that_no_field_claims_go_to_extra(name: str) -> None:
    format: Format = registry.load(FORMATS, name)
    record = format.to_record({**ROWS[name][0], "who_knows": [1, {"x": None}]}, PLACE)
    assert record.extra["who_knows"] == [1, {"x": None}]


FIXTURES = {
    "mllm_demo.json": ("llama_factory_sharegpt", 6),
    "mllm_video_demo.json": ("llama_factory_sharegpt", 3),
    "mllm_audio_demo.json": ("llama_factory_sharegpt", 3),
    "mllm_video_audio_demo.json": ("llama_factory_sharegpt", 3),
    "dpo_en_demo.json": ("llama_factory_ranking", 300),
    "kto_en_demo.json": ("llama_factory_kto", 300),
    "v1_dpo_demo.jsonl": ("llama_factory_v1", 10),
    "v1_multimodal_demo.jsonl": ("llama_factory_v1", 24),
    "sample_data.json": ("mdpo", 2),
}


@pytest.mark.parametrize("file", FIXTURES)
def test_public_rows_survive_import_export_and_import(file: str, format_rows: Path) -> None:
    name, count = FIXTURES[file]
    format: Format = registry.load(FORMATS, name)
    rows = list(read_rows(format_rows / ("mdpo" if name == "mdpo" else "llama_factory") / file))
    records = [read(name, dict(row.value)) for row in rows]
    again = [format.to_record(json.loads(json.dumps(format.from_record(record))), PLACE) for record in records]
    assert len(records) == count
    assert again == records


def test_places_keep_their_order_between_the_texts() -> None:
    record = read("llama_factory_sharegpt", ROWS["llama_factory_sharegpt"][0])
    assert parts(record) == [["@a", "Q", "@b", "?"]]
    assert [medium.id for medium in record.media] == ["image0", "image1"]


def test_one_file_placed_twice_is_one_medium() -> None:
    row = {"messages": [{"role": "user", "content": "<image>and<image>"}], "images": ["a", "a"]}
    record = read("llama_factory_sharegpt", row)
    assert len(record.media) == 1 and parts(record) == [["@a", "and", "@a"]]


def test_the_newline_between_a_llava_place_and_its_text_is_not_text() -> None:
    first, second, pair = (read("llava", row) for row in ROWS["llava"])
    assert parts(first) == [["Q?", "@a.jpg"]]
    assert parts(second) == [["@a.jpg", "@b.jpg", "Q <image-free>"]]
    assert pair.candidate("chosen").text == "A." and pair.candidate("rejected").text == "B."


def test_the_mdpo_chat_template_is_taken_off() -> None:
    assert parts(read("mdpo", ROWS["mdpo"][0])) == [["@a.jpg", "Q?"]]


@pytest.mark.parametrize("prompt", ["USER: <image>\nQ ASSISTANT:", "<image>\nQ", "A chat between a curious user"])
def test_any_other_mdpo_wrapper_is_refused(prompt: str) -> None:
    with pytest.raises(RecordError, match="the prompt must start with 'A chat between a curious user"):
        read("mdpo", {**ROWS["mdpo"][0], "prompt": prompt})


def test_several_turns_in_one_mdpo_prompt_are_refused() -> None:
    prompt = ROWS["mdpo"][0]["prompt"].replace("Q?", "Q? ASSISTANT: A USER: B")
    with pytest.raises(RecordError, match="several turns in one text"):
        read("mdpo", {**ROWS["mdpo"][0], "prompt": prompt})


def test_dialogs_of_a_pair_share_their_common_turns() -> None:
    for name in ("llama_factory_v1", "trl_conversational"):
        record = read(name, ROWS[name][1])
        assert [turn.text for turn in record.messages] == ["Q"]
        assert [len(candidate.messages) for candidate in record.candidates] == [1, 1]
        assert record.preferences[0].chosen == "chosen"


def test_labels_and_steps_are_kept() -> None:
    assert read("llama_factory_kto", ROWS["llama_factory_kto"][0]).candidates[0].label is False
    assert read("trl_standard", ROWS["trl_standard"][1]).candidates[0].label is True
    steps = read("trl_standard", ROWS["trl_standard"][4]).candidates[0]
    assert [(span.part, span.end, span.verdict) for span in steps.spans] == [(0, 6, "true"), (1, 6, "false")]


def test_a_system_prompt_of_its_own_column_comes_first() -> None:
    record = read("llama_factory_sharegpt", ROWS["llama_factory_sharegpt"][1])
    assert [(turn.role, turn.text) for turn in record.messages] == [("system", "Be brief."), ("user", "Q?")]
    assert record.id == "7" and record.tools == ({"name": "f"},)


def test_frames_video_and_audio_become_media() -> None:
    record = read("llama_factory_sharegpt", ROWS["llama_factory_sharegpt"][3])
    assert [(medium.kind, medium.uri, medium.frames) for medium in record.media] == [
        ("frames", None, ("f0.png", "f1.png")),
        ("audio", "a.wav", ()),
    ]


def test_images_of_a_trl_prompt_without_places_come_first() -> None:
    assert parts(read("trl_vision", ROWS["trl_vision"][1])) == [["@a", "Q"]]


def test_images_inside_trl_content_are_read() -> None:
    content = [{"type": "text", "text": "Q"}, {"type": "image", "image": "a"}]
    row = {"prompt": [{"role": "user", "content": content}]}
    assert parts(read("trl_vision", row)) == [["Q", "@a"]]


COUNTS = [
    ("llama_factory_sharegpt", {"images": ["a"]}, "has 2 <image> places, the row lists 1 image; make them as many"),
    ("llama_factory_sharegpt", {"images": ["a", "b", "c"]}, "has 2 <image> places, the row lists 3 images"),
    ("llama_factory_sharegpt", {"audios": ["a"]}, "has 0 <audio> places, the row lists 1 audio"),
    ("llama_factory_sharegpt", {"images": "ab"}, "column 'images' must be a list, got str"),
    ("llama_factory_ranking", {"images": []}, "has 1 <image> place, the row lists 0 images"),
    ("llava", {"image": None}, "has 1 <image> place, the row lists 0 images"),
    ("llava", {"image": ["a", "b"]}, "has 1 <image> place, the row lists 2 images"),
    ("mdpo", {"prompt": ROWS["mdpo"][0]["prompt"].replace("<image>\n", "")}, "has 0 <image> places, the row lists 1"),
    ("trl_vision", {"images": []}, "have 1 image places, the row lists 0 images"),
    ("trl_vision", {"images": ["a", "b"]}, "have 1 image places, the row lists 2 images"),
]


@pytest.mark.parametrize(("name", "changes", "message"), COUNTS)
def test_more_or_fewer_media_than_places_are_refused_with_both_counts(
    name: str, changes: dict[str, Any], message: str
) -> None:
    format: Format = registry.load(FORMATS, name)
    with pytest.raises(RecordError, match=message):
        format.to_record({**ROWS[name][0], **changes}, PLACE)


BAD_ROWS = [
    ("llama_factory_ranking", {"chosen": ...}, "column 'chosen' is missing; the row has conversations, rejected"),
    ("llama_factory_ranking", {"rejected": {"from": "gpt", "value": " "}}, "column 'rejected' is empty"),
    ("llama_factory_ranking", {"conversations": []}, "column 'conversations' is empty"),
    ("llama_factory_ranking", {"chosen": {"from": "bot", "value": "A"}}, "a turn has the role 'bot'; expected one of"),
    ("llama_factory_ranking", {"chosen": {"from": "gpt", "value": "A", "w": 1}}, "the key 'w', which a message"),
    ("llama_factory_sharegpt", {"tools": "{"}, "column 'tools' is not valid JSON"),
    ("llama_factory_sharegpt", {"id": [1]}, "column 'id' must be text or a whole number"),
    ("llama_factory_sharegpt", {"images": [1, 2]}, "a medium must be a path or embedded bytes, got int 1"),
    ("llama_factory_kto", {"label": "yes"}, "column 'label' must be true or false, got str"),
    ("llama_factory_kto", {"kto_tag": True}, "has both 'label' and 'kto_tag'"),
    ("trl_standard", {"rejected": ...}, "column 'rejected' is missing"),
    ("trl_standard", {"chosen": ""}, "column 'chosen' is empty"),
    ("trl_standard", {"prompt": ...}, "column 'prompt' is missing, and chosen and rejected share no turn"),
    ("trl_standard", {"chosen": [{"role": "assistant", "content": "A"}]}, "must be text, got list"),
    ("trl_conversational", {"tools": "f"}, "column 'tools' must be a list of objects"),
    ("trl_vision", {"image": "b"}, "has both 'image' and 'images'"),
]


@pytest.mark.parametrize(("name", "changes", "message"), BAD_ROWS)
def test_a_row_that_cannot_be_read_names_the_column(name: str, changes: dict[str, Any], message: str) -> None:
    format: Format = registry.load(FORMATS, name)
    row = {key: value for key, value in {**ROWS[name][0], **changes}.items() if value is not ...}
    with pytest.raises(RecordError, match=message):
        format.to_record(row, PLACE)


def test_a_layout_refuses_a_record_that_it_cannot_hold() -> None:
    pair, dialog = read("trl_standard", ROWS["trl_standard"][0]), read("trl_standard", ROWS["trl_standard"][3])
    for name, record, message in [
        ("llama_factory_kto", pair, "holds unpaired rows, the record is of task 'preference'"),
        ("mdpo", pair, "holds one image, the record has 0 media"),
        ("trl_standard", read("trl_vision", ROWS["trl_vision"][1]), "holds 'prompt' as one text"),
        ("trl_vision", read("llama_factory_v1", ROWS["llama_factory_v1"][0]), "not 'audio'"),
        ("llama_factory_ranking", dialog, "holds preference rows, the record is of task 'prompt'"),
    ]:
        format: Format = registry.load(FORMATS, name)
        with pytest.raises(RecordError, match=message):
            format.from_record(record)
