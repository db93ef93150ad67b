"""The house keeps its order: who may import whom, and what is installed is what is imported."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A part imports only from those in front of it (design: "the house").
ORDER = [
    "errors", "classes", "states", "backends",
    "geo", "fingerprint", "commit", "cityinfo", "city", "store", "ingest", "synthetic", "extract",
    "samples",
    "metrics", "models", "training", "analysis",
    "charts", "serving", "cli", "__main__",
]  # fmt: skip
MAP_SIDE = {"geo", "fingerprint", "commit", "cityinfo", "city", "store", "ingest", "synthetic", "extract"}
TENSOR_SIDE = {"samples", "metrics", "models", "training", "analysis"}
# Extraction writes the door's format; apart from that the sides never meet below the face.
ALLOWED = {("extract", "samples"), ("extract", "fingerprint")}
MAP_LIBRARIES = {"h3", "duckdb", "rasterio", "rio_tiler", "pyproj", "shapely", "pyogrio"}
TENSOR_LIBRARIES = {"torch", "timm", "lightning"}
# Asked for by an option, and imported only then: requirements-cluster.txt.
OPTIONAL = {"ray"}
PEERS = {"transbigdata"}  # of benchmarks only, and not installed for tests


def _modules(path: Path) -> set[str]:
    """Every module that a file imports, dotted."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively: name the package"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


def _part(path: Path) -> str:
    return path.relative_to(ROOT / "fusion").parts[0].removesuffix(".py")


LIBRARY = sorted((ROOT / "fusion").rglob("*.py"))


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    part = _part(path)
    if part == "__init__":
        return
    modules = _modules(path)
    used = {module.split(".")[1] for module in modules if module.startswith("fusion.")} & set(ORDER)
    late = {other for other in used if ORDER.index(other) > ORDER.index(part) and (part, other) not in ALLOWED}
    assert not late, f"{part} imports {late}, which stand below it"
    if part in TENSOR_SIDE:
        assert not used & MAP_SIDE, f"{part} is on the tensor side and imports {used & MAP_SIDE}"
        assert not {m.split(".")[0] for m in modules} & MAP_LIBRARIES
    if part in MAP_SIDE:
        assert not used & (TENSOR_SIDE - {"samples"})
        assert not {m.split(".")[0] for m in modules} & TENSOR_LIBRARIES
    assert not {m.split(".")[0] for m in modules} & {"streamlit", "pages"}, "the library never imports the face"


def _third_party(paths: list[Path]) -> set[str]:
    tops = {module.split(".")[0] for path in paths for module in _modules(path)}
    return tops - set(sys.stdlib_module_names) - OPTIONAL - {"fusion", "pages", "tests", "scripts", "app"}


def _required(name: str) -> set[str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return {re.split(r"[=~<>]", line)[0].lower() for line in lines if line and line[0] not in "#-"}


def test_every_requirement_is_imported_and_every_import_required() -> None:
    installed = packages_distributions()
    files = [*LIBRARY, *(ROOT / "pages").rglob("*.py"), ROOT / "app.py"]
    imported = {installed[module][0].lower().replace("_", "-") for module in _third_party(files)}
    assert imported == _required("requirements.txt")


def test_what_tests_and_scripts_import_is_required() -> None:
    installed = packages_distributions()
    files = [path for folder in ("tests", "benchmarks", "scripts") for path in (ROOT / folder).rglob("*.py")]
    beside = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}  # one benchmark imports another's export
    imported = {installed[module][0].lower().replace("_", "-") for module in _third_party(files) - beside - PEERS}
    named = (_required(f"requirements{kind}.txt") for kind in ("", "-dev"))
    assert imported <= set().union(*named)
    assert _required("requirements-bench.txt") == PEERS


def test_what_is_optional_is_imported_inside_one_function_only() -> None:
    assert _required("requirements-cluster.txt") == OPTIONAL
    asking = [path for path in LIBRARY if {m.split(".")[0] for m in _modules(path)} & OPTIONAL]
    assert asking == [ROOT / "fusion" / "backends.py"]
    body = ast.parse(asking[0].read_text(encoding="utf-8")).body
    at_once = {alias.name for node in body if isinstance(node, ast.Import) for alias in node.names}
    at_once |= {str(node.module) for node in body if isinstance(node, ast.ImportFrom)}
    assert not {name.split(".")[0] for name in at_once} & OPTIONAL


def test_requirements_are_pinned() -> None:
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-cluster.txt"):
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            assert not line or line[0] in "#-" or re.search(r"~=|==", line), f"{name}: {line} is not pinned"
    assert "torch==2.13.0" in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()


def test_no_pickle() -> None:
    for path in [*LIBRARY, *(ROOT / "pages").rglob("*.py")]:
        assert not {"pickle", "dill", "cloudpickle"} & {m.split(".")[0] for m in _modules(path)}, path
