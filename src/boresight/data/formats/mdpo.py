"""mDPO's pairs: one image, and a prompt with Bunny's chat template baked in.

Source: luka-group/mDPO, data/sample_data.json; Hugging Face fwnlp/mDPO-preference-data.
Differs from the source: the template is taken off, exactly; a prompt with any other wrapper is refused.
"""

from __future__ import annotations

from typing import Any

from boresight.data.formats._format import (
    Format,
    Place,
    column,
    make_record,
    make_row,
    pair,
    refuse_task,
    the_pair,
)
from boresight.data.formats._places import TaggedText, TagWriter
from boresight.errors import RecordError
from boresight.records import Message, Part, Record
from boresight.records.record import JsonObject

_BEFORE = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions. USER: "
)
_AFTER = " ASSISTANT:"
_COLUMNS = {
    "img_path": "media[0], kind image, placed by <image>",
    "prompt": "messages[0], without Bunny's chat template",
    "chosen": "candidates[chosen], preferences[0].chosen",
    "rejected": "candidates[rejected], preferences[0].rejected",
}


def _detect(row: JsonObject) -> bool:
    return "img_path" in row and any(isinstance(row.get(name), str) for name in ("prompt", "chosen", "rejected"))


def _to_record(row: JsonObject, place: Place) -> Record:
    prompt = column(row, "prompt")
    if not (prompt.startswith(_BEFORE) and prompt.endswith(_AFTER)) or len(prompt) < len(_BEFORE + _AFTER):
        raise RecordError(
            f"the prompt must start with {_BEFORE[:40]!r}... and end with {_AFTER!r}, got {prompt[:60]!r}. "
            "Only this chat template can be taken off; remove any other and use --format trl_vision."
        )
    inner = prompt[len(_BEFORE) : len(prompt) - len(_AFTER)]
    if "USER:" in inner or "ASSISTANT:" in inner:
        raise RecordError("the prompt holds several turns in one text; split them into messages.")
    text = TaggedText({"image": [column(row, "img_path")]}, separator="\n")
    user = Message(role="user", parts=text.parts(inner))
    chosen, rejected = ([_answer(column(row, side))] for side in ("chosen", "rejected"))
    return make_record(row, place, _COLUMNS, messages=(user,), media=text.media(), **pair(chosen, rejected))


def _answer(text: str) -> Message:
    return Message(role="assistant", parts=(Part(type="text", text=text),))


def _from_record(record: Record) -> dict[str, Any]:
    refuse_task(record, "preference")
    text = TagWriter(record, separator="\n")
    chosen, rejected = the_pair(record)
    if len(record.messages) != 1 or record.messages[0].role != "user":
        raise RecordError("this layout holds prompts of one user turn. Use --format boresight.")
    fields = {
        "prompt": f"{_BEFORE}{text.text(record.messages[0])}{_AFTER}",
        "chosen": chosen.text,
        "rejected": rejected.text,
    }
    images = text.columns().get("images", [])
    if len(images) != 1 or len(record.media) != 1:
        raise RecordError(f"this layout holds one image, the record has {len(record.media)} media.")
    return make_row(record, _COLUMNS, {"img_path": images[0], **fields})


MEMBER = Format(
    name="mdpo",
    summary="mDPO pairs: img_path and a prompt with Bunny's chat template, which is taken off",
    columns=_COLUMNS,
    required=("img_path", "prompt", "chosen", "rejected"),
    container="json",
    detect=_detect,
    to_record=_to_record,
    from_record=_from_record,
)
