"""Where the public fixture rows are, and files of small rows to import."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from data_examples import picture

from boresight.media.pool import DecodePool

_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def format_rows() -> Path:
    """Folder of real rows of other projects' layouts."""
    folder = Path(os.environ.get("BORESIGHT_FIXTURES", _ROOT.parent / "shared" / "fixtures")) / "formats"
    if not folder.is_dir():
        pytest.skip(f"no fixture folder {folder}; set BORESIGHT_FIXTURES to the folder of public files")
    return folder


@pytest.fixture(scope="session")
def llama_factory(format_rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LLaMA-Factory's data folder as its rows expect it: media in `mllm_demo_data/`."""
    folder = tmp_path_factory.mktemp("llama_factory") / "data"
    (folder / "mllm_demo_data").mkdir(parents=True)
    for path in (format_rows / "llama_factory").iterdir():
        if path.suffix in (".json", ".jsonl"):
            shutil.copy(path, folder / path.name)
        elif path.name.startswith("mllm_demo_"):
            shutil.copy(path, folder / "mllm_demo_data" / path.name.removeprefix("mllm_demo_"))
    return folder


@pytest.fixture(scope="session")
def pool() -> Iterator[DecodePool]:
    with DecodePool(workers=1) as pool:
        yield pool


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., Path]:
    """Writes rows as JSON Lines beside two pictures, and returns the file."""

    def write(*rows: dict[str, Any], name: str = "pairs.jsonl") -> Path:
        (tmp_path / "a.png").write_bytes(picture("red"))
        (tmp_path / "b.png").write_bytes(picture("blue"))
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write
