"""Model folders as a user has them, and the command line in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from transformers import LlamaConfig, LlamaForCausalLM

from boresight.models.fake import FakeShape, fake_llava


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaVA with random weights, saved as transformers saves it."""
    folder = tmp_path_factory.mktemp("llava")
    model, processor = fake_llava(FakeShape(hidden=16, layers=2, heads=2, max_tokens=400))
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def text_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model without eyes."""
    folder = tmp_path_factory.mktemp("llama")
    _, processor = fake_llava()
    config = LlamaConfig(
        vocab_size=400, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    processor.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def rows(tmp_path: Path) -> Callable[..., Path]:
    """Writes `rows.jsonl` of preference rows beside their pictures, after changing one of them."""

    def write(count: int = 4, *, bad: int | None = None, **changes: Any) -> Path:
        folder = tmp_path / "data"
        folder.mkdir(exist_ok=True)
        lines = []
        for number in range(1, count + 1):
            Image.new("RGB", (40, 30), (20 * number, 90, 200 - 20 * number)).save(folder / f"{number}.png")
            row: dict[str, Any] = {
                "conversations": [{"from": "human", "value": "<image>Describe the picture."}],
                "chosen": {"from": "gpt", "value": f"A plain field number {number}."},
                "rejected": {"from": "gpt", "value": f"A dog and a child on road {number}."},
                "images": [f"{number}.png"],
            }
            if number == bad:
                row = {key: value for key, value in {**row, **changes}.items() if value is not ...}
            lines.append(json.dumps(row))
        path = folder / "rows.jsonl"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write
