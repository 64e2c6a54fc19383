"""Weights that are spread over processes (FSDP2, as `configs/fsdp2.yaml` asks for it) train as whole ones do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import DistributedType
from process_cases import CASES, Outcome, apart, in_two_processes, outcome, stop_alone

from boresight.errors import UsageError
from boresight.training.sharding import check_launch

CONFIGS = Path(__file__).parents[2] / "configs"
EXACT = 1e-11  # of the largest value; float64, sums in another order
EQUAL = (
    "adapter_off/some", "copy/single", "cached", "statistics of a step", "a picture in one process",
    "items that lack every view", "fewer items than processes",
)  # fmt: skip


@pytest.fixture(scope="module")
def runs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sharded") / "runs"


@pytest.fixture(scope="module")
def sharded_runs(runs_folder: Path) -> list[Mapping[str, Outcome]]:
    """The cases as the two processes saw them; one of them goes on where one process with whole weights stopped."""
    stop_alone(runs_folder / "resumed")
    return in_two_processes(runs_folder.parent, [*EQUAL, "resumed", "stopped"], "sharded")


@pytest.mark.parametrize("name", EQUAL)
def test_spread_weights_train_as_whole_ones(
    name: str, sharded_runs: list[Mapping[str, Outcome]], tmp_path: Path
) -> None:
    """The policy that was handed in holds all weights again, in every process."""
    one = outcome(CASES[name], tmp_path)
    assert sharded_runs[0][name].num_spread > 0 and one.num_spread == 0
    for found in sharded_runs:
        assert apart(found[name].gradients, one.gradients) <= EXACT
        assert apart(found[name].weights, one.weights) <= EXACT
    losses = [row["loss"] for row in sharded_runs[0][name].rows]
    assert losses == pytest.approx([row["loss"] for row in one.rows], rel=1e-9)
    norms = [row["grad_norm"] for row in sharded_runs[0][name].rows]
    assert norms == pytest.approx([row["grad_norm"] for row in one.rows], rel=1e-9, abs=1e-12)


def test_a_checkpoint_of_whole_weights_is_read_by_two_that_spread_them(
    sharded_runs: list[Mapping[str, Outcome]], tmp_path: Path
) -> None:
    straight, resumed = outcome(CASES["resumed"], tmp_path), sharded_runs[0]["resumed"]
    assert [row["step"] for row in resumed.rows] == [1, 2, 3]
    assert apart(resumed.weights, straight.weights) <= EXACT


def test_a_checkpoint_of_spread_weights_is_read_by_one_that_has_them_whole(
    sharded_runs: list[Mapping[str, Outcome]], runs_folder: Path, tmp_path: Path
) -> None:
    assert sharded_runs[1]["stopped"].stopped.startswith("stopped after step 2 of 3")
    resumed, straight = outcome(CASES["resumed"], runs_folder / "stopped"), outcome(CASES["resumed"], tmp_path)
    assert [row["step"] for row in resumed.rows] == [1, 2, 3]
    assert apart(resumed.weights, straight.weights) <= EXACT


@pytest.mark.parametrize(
    ("kind", "is_fsdp2", "asks", "message"),
    [
        (DistributedType.FSDP, False, {}, "set fsdp_version: 2"),
        (DistributedType.FSDP, True, {"probes": True}, r"run\.probe_every=0"),
        (DistributedType.FSDP, True, {"attacks": True}, r"configs/ddp\.yaml"),
        (DistributedType.FSDP, True, {"clips_apart": True}, "pictures and clips.*as many passes in every process"),
    ],
)
def test_what_cannot_be_spread_is_refused(
    kind: DistributedType, is_fsdp2: bool, asks: dict[str, bool], message: str
) -> None:
    launched: Any = SimpleNamespace(distributed_type=kind, is_fsdp2=is_fsdp2)
    with pytest.raises(UsageError, match=message):
        check_launch(launched, **{"probes": False, "attacks": False, "clips_apart": False, **asks})


@pytest.mark.parametrize("kind", [DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU])
def test_whole_weights_allow_everything(kind: DistributedType) -> None:
    launched: Any = SimpleNamespace(distributed_type=kind, is_fsdp2=False)
    check_launch(launched, probes=True, attacks=True, clips_apart=True)
    launched = SimpleNamespace(distributed_type=DistributedType.FSDP, is_fsdp2=True)
    check_launch(launched, probes=False, attacks=False, clips_apart=False)


def test_accelerate_reads_every_configuration_that_is_shipped() -> None:
    found = {path.name: load_config_from_file(str(path)) for path in CONFIGS.glob("*.yaml")}
    kinds = {name: config.distributed_type for name, config in found.items()}
    assert kinds == {
        "ddp.yaml": DistributedType.MULTI_GPU,
        "fsdp2.yaml": DistributedType.FSDP,
        "deepspeed.yaml": DistributedType.DEEPSPEED,
    }
    assert found["fsdp2.yaml"].fsdp_config["fsdp_version"] == 2
    assert all(config.mixed_precision == "no" for config in found.values())
