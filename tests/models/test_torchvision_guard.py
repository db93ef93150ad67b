import ast
import importlib
from pathlib import Path

import pytest

from fusion.models import torchvision_guard

LIBRARY = Path(__file__).resolve().parents[2] / "fusion"
NEEDS_TORCHVISION = {"timm", "lightning", "torchmetrics", "torchvision"}


def test_torchvision_imports_after_the_guard() -> None:
    assert hasattr(importlib.import_module("torchvision").ops, "nms")


def test_a_second_declaration_is_none() -> None:
    needed = torchvision_guard.declare_operators()
    assert torchvision_guard.declare_operators() is needed


def test_operators_are_left_to_an_extension_that_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision_guard, "_declared", [])
    monkeypatch.setattr(torchvision_guard, "_extension_loads", lambda folder: True)
    assert torchvision_guard.declare_operators() is False
    assert torchvision_guard._declared == []


def test_the_guard_comes_before_every_library_that_needs_it() -> None:
    for path in LIBRARY.rglob("*.py"):
        guarded = False
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
        for node in sorted(imports, key=lambda node: node.lineno):
            prefix = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            names = [prefix + alias.name for alias in node.names]
            guarded |= "fusion.models.torchvision_guard" in names
            late = [name for name in names if name.split(".")[0] in NEEDS_TORCHVISION]
            assert guarded or not late, f"{path}:{node.lineno} imports {late} before fusion.models.torchvision_guard"
