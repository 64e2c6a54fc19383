"""Make text from data harmless before a model reads it: nothing in it may act as a command, a picture or a verdict.

What models read as commands (`<|im_start|>`, `</s>`, `[INST]`), as a place for media (`<image>`), as thought
(`<think>`) or as a verdict (`[[A]]`, `\\boxed{}`) is spelled in a way that people read the same and tokenizers do not.
Source: reserved sequences in candidates flip two thirds of otherwise right verdicts of multimodal judges, and removing
them takes most of that away; "Escaped Markup", 2026, as reported in public summaries (the paper itself was not read).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_TAGS = (
    "s|bos|eos|pad|unk|sep|cls|mask|n|image|images|video|audio|speech|sound|img|frame|patch|box|ref|quad|point|object"
    "|think|thinking|thought|reasoning|analysis|final|answer|system|user|assistant|human|tool|tools|function|observation"
    "|eot|eom|eod|endofchunk|grounding|phrase|delim"
)
_ANGLED = re.compile(
    r"<(?:"
    r"[|\uff5c][^<>\n]{0,80}?[|\uff5c]"  # <|im_start|>, and DeepSeek's full-width bars
    rf"|/?(?:{_TAGS})[ _-]?\d*/?"  # </s>, <image>, <image 1>, <think>
    r"|/?[A-Za-z][A-Za-z0-9]*(?:[_-][A-Za-z0-9]+)+"  # <start_of_turn>, <image_soft_token>, <row_1_col_2>, <global-img>
    r"|(?:unused|reserved|extra|token|loc|seg)\d+"
    r"|0x[0-9A-F]{2}"  # bytes, in sentencepiece
    r")>",
    re.IGNORECASE,
)
_SQUARED = re.compile(
    r"\[(/?(?:INST|IMG|IMG_BREAK|IMG_END|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|ARGS|CALL_ID"
    r"|THINK|AUDIO|BEGIN_AUDIO|BOS|EOS|PAD|UNK|SEP|CLS|MASK|gMASK|sMASK))\]",
    re.IGNORECASE,
)
_SYSTEM = re.compile(r"<<(/?SYS)>>", re.IGNORECASE)
_DOUBLE = re.compile(r"\[(?=\[)")  # [[A]]
_BOXED = re.compile(r"\\(?=boxed)")


def neutralize(text: str, also: Sequence[str] = ()) -> str:
    """Text without reserved sequences; ordinary text, code and formulas stay as they are, but for the above.

    Args:
        also: Further sequences, such as the special tokens of the model that will read it.
    """
    inner = None
    while inner != text:  # what is changed inside of a sequence may complete the outer one, as in <|<image>|>
        inner, text = text, _ANGLED.sub(lambda found: _quoted(found[0][1:-1]), text)
    for pattern in (_SYSTEM, _SQUARED):
        text = pattern.sub(lambda found: _quoted(found[1]), text)
    text = _DOUBLE.sub("[ ", text)
    text = _BOXED.sub(r"\\ ", text)
    for token in sorted(filter(None, also), key=len, reverse=True):
        text = text.replace(token, f"{token[0]} {token[1:]}" if len(token) > 1 else " ")
    return text


def neutralize_all(value: Any, also: Sequence[str] = ()) -> Any:
    """The same for every text in a JSON value; keys stay."""
    if isinstance(value, str):
        return neutralize(value, also)
    if isinstance(value, Mapping):
        return {key: neutralize_all(inner, also) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [neutralize_all(inner, also) for inner in value]
    return value


def _quoted(name: str) -> str:
    return f"\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}{name}\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"
