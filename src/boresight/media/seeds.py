"""Seeds that depend on names, not on the order in which work is done."""

from __future__ import annotations

import hashlib
import json


def derive_seed(run_seed: int, record_id: str, input_name: str) -> int:
    """A 63-bit seed for one input of one record, the same in every process and on every machine.

    It does not change when records are shuffled, filtered or split over workers, so policy and reference see the
    same crop in every epoch.
    """
    # JSON keeps the parts apart: ("a", "bc") and ("ab", "c") must not share a seed.
    key = json.dumps([run_seed, record_id, input_name]).encode("ascii")
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 1  # fits a signed 64-bit column
