"""The command line, in a process whose DeepSpeed compiles nothing; `accelerate launch` takes it as a script."""

from __future__ import annotations

import importlib
from typing import Any

from boresight.cli.main import main

if __name__ == "__main__":
    backend: Any = importlib.import_module("deepspeed.comm.torch")
    backend.build_shm_op = lambda: None  # a faster way to meet on a processor, after a minute of compiling
    main()
