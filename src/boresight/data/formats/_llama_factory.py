"""Turns of LLaMA-Factory's first layout, in both of its tag sets, and the columns its three files share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from boresight.data.formats._format import column
from boresight.data.formats._places import TaggedText, TagWriter, listed_media
from boresight.errors import RecordError
from boresight.records import Message, Part, Record
from boresight.records.record import JsonObject

SHARED_COLUMNS: Mapping[str, str] = {
    "messages": "messages (role, content)",
    "conversations": "messages (from, value)",
    "system": "messages[0], role system",
    "tools": "tools",
    "images": "media, kind image, placed by <image>",
    "videos": "media, kind video (a list of frames: kind frames), placed by <video>",
    "audios": "media, kind audio, placed by <audio>",
}

_TAG_SETS = (("role", "content"), ("from", "value"))
_ROLES = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system",
    "observation": "tool", "tool": "tool", "function_call": "assistant", "function": "assistant",
}  # fmt: skip
_CALLS = ("function_call", "function")


def has_turns(row: JsonObject) -> bool:
    """Whether the row has a list of turns with text, in `messages` or `conversations`."""
    turns = row.get("messages", row.get("conversations"))
    return isinstance(turns, list) and bool(turns) and all(_tags(turn) is not None for turn in turns)


def is_turn(value: Any) -> bool:
    """Whether a value is one turn with text."""
    return _tags(value) is not None


def reader(row: JsonObject) -> TaggedText:
    """What turns the row's tagged text into parts."""
    return TaggedText(listed_media(row))


def read_dialog(row: JsonObject, text: TaggedText) -> list[Message]:
    """The system prompt of its own column, if any, and all turns."""
    turns = column(row, "messages" if "messages" in row else "conversations", list)
    system = row.get("system")
    dialog = [read_turn(turn, text) for turn in turns]
    if not system:
        return dialog
    if not isinstance(system, str):
        raise RecordError(f"column 'system' must be text, got {type(system).__name__}.")
    if dialog[0].role == "system":
        raise RecordError("the row has two system prompts, a column and a turn; keep one.")
    return [Message(role="system", parts=text.parts(system)), *dialog]


def read_turn(turn: Any, text: TaggedText) -> Message:
    """One turn of either tag set.

    Raises:
        RecordError: On another shape, an unknown role, or a key that a message cannot keep.
    """
    tags = _tags(turn)
    if tags is None:
        raise RecordError(f"a turn must be {{'role', 'content'}} or {{'from', 'value'}} with text, got {turn!r:.80}.")
    role, content = turn[tags[0]], turn[tags[1]]
    unknown = [key for key in turn if key not in tags]
    if unknown:
        raise RecordError(f"a turn has the key {unknown[0]!r}, which a message cannot keep; move it to the row.")
    if role not in _ROLES:
        raise RecordError(f"a turn has the role {role!r}; expected one of {', '.join(_ROLES)}.")
    if role in _CALLS:
        return Message(role="assistant", parts=(Part(type="tool_call", text=content),))
    return Message(role=_ROLES[role], parts=text.parts(content))


def read_tools(row: JsonObject) -> tuple[JsonObject, ...]:
    """The column `tools`: a list of objects, or the same as JSON text."""
    tools = row.get("tools") or []
    if isinstance(tools, str):
        try:
            tools = json.loads(tools)
        except json.JSONDecodeError as error:
            raise RecordError(f"column 'tools' is not valid JSON ({error}).") from None
    if not isinstance(tools, list) or not all(isinstance(tool, Mapping) for tool in tools):
        raise RecordError("column 'tools' must be a list of objects, or the same as JSON text.")
    return tuple(tools)


def write_turn(message: Message, text: TagWriter) -> dict[str, str]:
    """One message with the tags `role` and `content`."""
    if [part.type for part in message.parts] == ["tool_call"]:
        return {"role": "function_call", "content": message.parts[0].text or ""}
    role = "observation" if message.role == "tool" else message.role
    return {"role": role, "content": text.text(message)}


def write_tools(record: Record) -> dict[str, str]:
    """The column `tools`, if the record has any."""
    return {"tools": json.dumps(list(record.tools), ensure_ascii=False)} if record.tools else {}


def _tags(turn: Any) -> tuple[str, str] | None:
    if isinstance(turn, Mapping):
        for role, content in _TAG_SETS:
            if isinstance(turn.get(role), str) and isinstance(turn.get(content), str):
                return role, content
    return None
