"""Checkpoints that a kill at any moment cannot spoil.

A checkpoint is written under a hidden name, its files hashed and flushed, and only then renamed into place. One that
is incomplete or damaged is recognized by its hashes and passed over.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from boresight.errors import CheckpointError
from boresight.files import flush

_MANIFEST = "MANIFEST.json"
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Everything that a run needs to go on as if it had never stopped."""

    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]
    """By file: weights, optimizer, random..."""
    state: Mapping[str, Any]


class Checkpoints:
    """The checkpoints of one run.

    Args:
        root: Folder that holds them.
        keep: How many of the newest to keep, at least 1; 2 leave one to fall back on.
    """

    def __init__(self, root: Path, keep: int = 2) -> None:
        self.root = root
        self.keep = max(1, keep)

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint; afterwards it is there whole, or not at all."""
        self.root.mkdir(parents=True, exist_ok=True)
        self._sweep()
        staged = self.root / f".tmp-{checkpoint.step:08d}"
        staged.mkdir()
        for name, tensors in checkpoint.tensors.items():
            save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, staged / f"{name}.safetensors")
        (staged / "state.json").write_text(json.dumps(dict(checkpoint.state), indent=1))
        files = sorted(staged.iterdir())
        manifest = {"version": _VERSION, "step": checkpoint.step, "files": {f.name: _identity(f) for f in files}}
        (staged / _MANIFEST).write_text(json.dumps(manifest, indent=1))
        for file in staged.iterdir():
            flush(file)
        flush(staged)
        final = self.root / f"step-{checkpoint.step:08d}"
        if final.exists():  # a damaged one of the same step, which was passed over
            shutil.rmtree(final)
        staged.rename(final)
        flush(self.root)
        self._forget_old()
        return final

    def exist(self) -> bool:
        """Whether there are any, whole or not."""
        return bool(self._folders())

    def newest(self) -> tuple[Checkpoint | None, tuple[str, ...]]:
        """The newest whole checkpoint, and why newer ones were passed over.

        Raises:
            CheckpointError: If there are checkpoints and none of them is whole.
        """
        reasons: list[str] = []
        for folder in reversed(self._folders()):
            reason = why_damaged(folder)
            if reason is None:
                return _load(folder), tuple(reasons)
            reasons.append(f"{folder}: {reason}")
        if reasons:
            raise CheckpointError(
                f"no usable checkpoint: {'; '.join(reasons)}. Restore the files or start again in another folder."
            )
        return None, ()

    def _folders(self) -> list[Path]:
        return sorted(self.root.glob("step-*")) if self.root.is_dir() else []

    def _sweep(self) -> None:
        for leftover in [*self.root.glob(".tmp-*"), *self.root.glob(".old-*")]:
            shutil.rmtree(leftover)

    def _forget_old(self) -> None:
        for folder in self._folders()[: -self.keep]:
            doomed = folder.with_name(f".old-{folder.name}")
            folder.rename(doomed)  # a half-deleted folder must not look like a checkpoint
            shutil.rmtree(doomed)


def why_damaged(folder: Path) -> str | None:
    """What is wrong with a checkpoint folder, or None when all its files are as they were written."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
        for name, identity in manifest["files"].items():
            path = folder / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != identity["bytes"]:
                return f"{name} has {path.stat().st_size} bytes, expected {identity['bytes']}"
            if _identity(path) != identity:
                return f"{name} was changed after it was written (its sha256 differs)"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{_MANIFEST} cannot be read ({type(error).__name__})"
    return None


def _identity(path: Path) -> dict[str, Any]:
    with path.open("rb") as handle:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(handle, "sha256").hexdigest()}


def _load(folder: Path) -> Checkpoint:
    state = json.loads((folder / "state.json").read_text())
    step = json.loads((folder / _MANIFEST).read_text())["step"]
    tensors = {file.stem: load_file(file) for file in folder.glob("*.safetensors")}
    return Checkpoint(step=step, tensors=tensors, state=state)
