"""Rules that hold for all of the source."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from boresight.models.loading import Lora
from boresight.training.align import Job
from boresight.training.spec import RunSettings, Stage

SOURCE = Path(__file__).parents[1] / "src" / "boresight"
FILES = sorted(SOURCE.rglob("*.py"))
FORBIDDEN_CALLS = {"eval", "exec", "pickle.load", "pickle.loads", "torch.load", "yaml.load", "os.system"}


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def test_there_are_files_to_look_at() -> None:
    assert len(FILES) > 90


def test_every_fault_of_scripts_mutants_has_its_place_in_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SOURCE.parents[1] / "scripts"))
    faults = importlib.import_module("mutants").MUTANTS
    assert [f.before for f in faults if f.path.read_text().count(f.before) != 1] == []


def test_nothing_from_data_or_a_hub_can_be_executed() -> None:
    found = []
    for path in FILES:
        for call in calls(ast.parse(path.read_text())):
            name = ast.unparse(call.func)
            flags = {k.arg for k in call.keywords if isinstance(k.value, ast.Constant) and k.value.value is True}
            if name in FORBIDDEN_CALLS or flags & {"shell", "trust_remote_code"}:
                found.append(f"{path.name}:{call.lineno} {name}")
    assert found == []


def test_no_file_asks_which_method_or_model_it_has() -> None:
    """A comparison of a name with a member's name belongs into that member's own file."""
    members = {p.stem for folder in ("methods", "benchmarks") for p in (SOURCE / folder).glob("[a-z]*.py")}
    found = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare) and path.stem not in members:
                texts = {c.value for c in ast.walk(node) if isinstance(c, ast.Constant) and isinstance(c.value, str)}
                found += [f"{path.name}:{node.lineno} {text}" for text in texts & members]
    assert found == []


@pytest.mark.parametrize("folder", ["methods", "benchmarks"])
def test_every_member_names_its_source_and_its_departures(folder: str) -> None:
    paths = sorted((SOURCE / folder).glob("[a-z]*.py"))
    assert len(paths) >= 2
    for path in paths:
        head = ast.get_docstring(ast.parse(path.read_text())) or ""
        assert re.search(r"^Source: ", head, re.MULTILINE), path.name
        assert re.search(r"^Differs from ", head, re.MULTILINE), path.name


@pytest.mark.parametrize("kind", [Stage, RunSettings, Lora, Job])
def test_every_declared_setting_is_read_somewhere(kind: type) -> None:
    source = "\n".join(path.read_text() for path in FILES)
    unread = [f.name for f in dataclasses.fields(kind) if not re.search(rf"\.{f.name}\b", source)]
    assert unread == []


def test_every_test_file_has_a_name_of_its_own() -> None:
    """Two of one name stop pytest from reading the second."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert len(names) > 100 and sorted(names) == sorted(set(names))


def test_documents_link_to_files_that_exist() -> None:
    root = SOURCE.parents[1]
    broken = []
    for page in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)", page.read_text()):
            if not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []


def test_no_page_and_no_source_names_a_folder_of_somebodys_machine() -> None:
    root = SOURCE.parents[1]
    pages = [*FILES, *root.glob("*.md"), *(root / "docs").rglob("*.md"), *(root / "scripts").glob("*.py")]
    folders = re.compile(r"(?<![\w.])/(home|root|tmp|Users|mnt)/")
    assert [page.name for page in pages if folders.search(page.read_text())] == []
