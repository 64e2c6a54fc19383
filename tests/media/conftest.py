from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def photographs() -> list[Path]:
    default = Path(__file__).parents[3] / "shared" / "fixtures"
    folder = Path(os.environ.get("BORESIGHT_FIXTURES", default)) / "images" / "real"
    found = sorted(folder.glob("*.jpg"))
    if not found:
        pytest.skip(f"no photographs in {folder}; set BORESIGHT_FIXTURES to the folder that holds them")
    return found
