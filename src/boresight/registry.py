"""A folder is a registry: one public file, one member named `MEMBER`.

`names("boresight.methods")` lists the files without importing them, so listing stays cheap; `load` imports one. A file
may offer other forms of its member in a mapping named `VARIANTS`; `load` takes one as `name:variant`.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pkgutil
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from boresight.errors import BoresightError, UnknownNameError, UsageError, known_names


def names(package: str) -> list[str]:
    """Public file names in a package, sorted. Nothing is imported but the package itself."""
    folder = importlib.import_module(package).__path__
    return sorted(m.name for m in pkgutil.iter_modules(folder) if not m.name.startswith("_"))


def file_of(package: str, name: str) -> Path:
    """The file that declares a member; nothing but the package is imported."""
    return Path(next(iter(importlib.import_module(package).__path__))) / f"{name}.py"


def load(package: str, name: str) -> Any:
    """The member `name` of a package, or of the user's own file when `name` ends in `.py`.

    Args:
        name: `mdpo`, `ddpo:code`, `folder/mine.py`...

    Raises:
        UnknownNameError: If there is no such member or variant; the message suggests the nearest name.
        UsageError: If the file declares no `MEMBER`.
    """
    file, variant = without_variant(name)
    module = _module(package, file)
    if variant is not None:
        return _variant(module, file, variant)
    try:
        return module.MEMBER
    except AttributeError:
        raise UsageError(f"{module.__file__} declares no MEMBER; assign one at its end.") from None


def without_variant(name: str) -> tuple[str, str | None]:
    """A name, or a path, and the variant behind it. What ends in `.py` is a path as it is, colons in it or not."""
    file, colon, variant = name.rpartition(":")
    return (file, variant) if colon and not name.endswith(".py") else (name, None)


def variants(package: str, name: str) -> list[str]:
    """The other forms that a member's file offers, in its order."""
    return list(_variants_of(_module(package, name)))


def _module(package: str, name: str) -> ModuleType:
    if name.endswith(".py"):
        return _import_file(Path(name))
    known = names(package)
    if name not in known:
        raise UnknownNameError(_no_such(package, name, known))
    return importlib.import_module(f"{package}.{name}")


def _variant(module: ModuleType, name: str, variant: str) -> Any:
    known = _variants_of(module)
    if variant not in known:
        listed = f"Known: {', '.join(map(str, known))}." if known else "It has none."
        raise UnknownNameError(f"{name} has no variant {variant!r}. {listed}")
    return known[variant]


def _variants_of(module: ModuleType) -> Mapping[str, Any]:
    known = getattr(module, "VARIANTS", {})
    if not isinstance(known, Mapping):
        raise UsageError(
            f"{module.__file__}: VARIANTS must be a mapping of names to members, got {type(known).__name__}. "
            'Write VARIANTS = {"strict": ...}.'
        )
    return known


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"no file {str(path)!r}; expected a Python file that declares MEMBER.")
    spec = importlib.util.spec_from_file_location(f"boresight_user_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever a user's file may raise
        raise _at_place(path, _place_in(path, error) or str(path), error) from error
    _check_single(path)
    return module


def _check_single(path: Path) -> None:
    """Refuse a file that assigns its member twice: the first would be lost without a word."""
    lines = [
        str(statement.lineno)
        for statement in ast.parse(path.read_bytes()).body
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value and not _reads_member(statement.value)
        for target in (statement.targets if isinstance(statement, ast.Assign) else [statement.target])
        if isinstance(target, ast.Name) and target.id == "MEMBER"
    ]
    if len(lines) > 1:
        raise UsageError(
            f"{path} assigns MEMBER on lines {', '.join(lines[:-1])} and {lines[-1]}; expected one. "
            'Keep one, and put other forms into VARIANTS = {"strict": ...}.'
        )


def _reads_member(value: ast.expr) -> bool:
    """As in MEMBER = replace(MEMBER, ...), which loses nothing."""
    return any(isinstance(node, ast.Name) and node.id == "MEMBER" for node in ast.walk(value))


@contextmanager
def blamed_on(name: str) -> Iterator[None]:
    """Whatever the user's own file `name` raises while it is used is answered with its place.

    Raises:
        UsageError: Names file and line. Errors that did not pass through the file stay what they are.
    """
    path = Path(without_variant(name)[0])
    try:
        yield
    except BoresightError:
        raise
    except (Exception, SystemExit) as error:
        place = _place_in(path, error)
        if place is None:
            raise
        raise _at_place(path, place, error) from error


def _at_place(path: Path, place: str, error: BaseException) -> UsageError:
    said = f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}"
    if isinstance(error, BoresightError):
        said = str(error)  # it says all by itself
    elif isinstance(error, SystemExit):
        said += ". The file is loaded, not run: put what ends the program under if __name__ == '__main__'."
    elif isinstance(error, ModuleNotFoundError) and _lies_beside(path, str(error.name)):
        said += f". It lies beside the file, where Python does not look: use one file, or set PYTHONPATH={path.parent}."
    return UsageError(f"{place}: {said}")


def _lies_beside(path: Path, name: str) -> bool:
    return any((path.parent / found).exists() for found in (f"{name}.py", name))


def _place_in(path: Path, error: BaseException) -> str | None:
    """Where a file went wrong: at the last of its own lines that led to the error, or in what these could not read."""
    own = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).resolve() == path.resolve()
    ]
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        unread = Path(error.filename)
        if unread.is_file() and (own or unread.resolve() == path.resolve()):
            return f"{unread}, line {error.lineno}"
    line = own[-1] if own else _line_of_called(path, error)
    return None if line is None else f"{path}, line {line}"


def _line_of_called(path: Path, error: BaseException) -> int | None:
    """Where the file defines what was called with other arguments than it takes; nothing of the file has run then."""
    called, _, misfit = str(error).partition("() ")
    if not isinstance(error, TypeError) or not misfit.startswith(("takes ", "missing ", "got ")):
        return None
    return next((line for name, line in _functions(ast.parse(path.read_bytes())) if name == called), None)


def _functions(tree: ast.AST, within: str = "") -> Iterator[tuple[str, int]]:
    """Qualified names and lines of all functions outside of other functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{within}{node.name}", node.lineno
        else:
            yield from _functions(node, f"{within}{node.name}." if isinstance(node, ast.ClassDef) else within)


def _no_such(package: str, name: str, known: list[str]) -> str:
    kind = package.rsplit(".", 1)[-1].rstrip("s")
    return f"no {kind} named {name!r}. {known_names(name, known)}"
