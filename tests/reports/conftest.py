"""Folders of made-up results, built once."""

import shutil

import pytest
import synthetic


@pytest.fixture(scope="session")
def _built(tmp_path_factory):
    return synthetic.build(tmp_path_factory.mktemp("built") / "run", num_items=60, num_steps=200)


@pytest.fixture(scope="session")
def collapsed(tmp_path_factory):
    """A folder in which the run `dpo` says almost nothing."""
    return synthetic.build(tmp_path_factory.mktemp("built") / "collapsed", num_items=60, num_steps=20, collapse=True)


@pytest.fixture
def folder(_built, tmp_path):
    """A complete folder that a test may damage."""
    return shutil.copytree(_built, tmp_path / "run")
