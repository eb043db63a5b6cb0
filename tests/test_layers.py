"""The import rule: who may know whom, and that the policy package stays light."""

import ast
import subprocess
import sys
from collections.abc import Set
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "twin"

#: layer -> layers of ours it may import. A layer is a folder of twin/, or a single module beside them.
LAYERS: dict[str, set[str]] = {
    "units": set(),
    "places": set(),
    "hall": {"units", "places"},
    "plant": {"units", "hall"},
    "policy": set(),
    "workload": {"units", "hall"},
    "results": {"units", "hall"},
    "audit": {"policy"},
    "sim": {"units", "hall", "plant", "policy", "workload", "results", "audit"},
    "setup": {"units", "places", "hall", "policy", "workload", "results", "audit", "sim", "cel"},
    "studies": {"units", "places", "hall", "plant", "policy", "workload", "results", "audit", "sim", "setup"},
    "bench": {"units", "places", "hall", "plant", "policy", "results", "audit", "sim", "studies"},
    "validation": {"units", "places", "hall", "plant", "policy", "workload", "results", "sim"},
    "cli": {
        "units",
        "places",
        "hall",
        "plant",
        "policy",
        "workload",
        "results",
        "audit",
        "sim",
        "setup",
        "studies",
        "validation",
        "bench",
        "cel",
    },
    "openfeature": {"policy"},
    "cel": {"policy"},
    "pytest_plugin": {"setup", "studies"},
    "__main__": {"cli"},
    "__init__": set(),
}

#: layer -> libraries beyond the standard one that it may import
LIBRARIES: dict[str, set[str]] = {
    "units": set(),
    "places": set(),
    "hall": {"numpy", "networkx", "yaml", "matplotlib", "rich"},
    "plant": {"numpy", "numba"},
    "policy": {"numpy"},
    "workload": {"numpy", "pandas"},
    "results": {"numpy", "pandas", "pyarrow", "matplotlib", "jinja2", "markupsafe"},
    "audit": {"numpy", "orjson", "rfc8785"},
    "sim": {"numpy", "pandas", "simpy"},
    "setup": {"numpy", "hydra", "omegaconf", "yaml"},
    "studies": {"numpy", "pandas", "scipy", "matplotlib", "joblib", "jinja2", "markupsafe", "pyarrow"},
    "bench": {"numpy"},
    "validation": {"numpy", "pandas", "matplotlib"},
    "cli": {"numpy", "pandas", "scipy", "matplotlib", "hydra", "omegaconf", "yaml", "rich"},
    "openfeature": {"openfeature"},
    "cel": {"cel"},
    "pytest_plugin": {"pytest"},
    "__main__": set(),
    "__init__": set(),
}

#: module -> libraries that it alone of its layer may import: kernels outside the plant, what an extra brings, a packer
EXCEPTIONS: dict[str, set[str]] = {
    "audit/frames.py": {"pyarrow"},
    "audit/signing.py": {"cryptography"},
    "workload/service.py": {"numba"},
    "sim/capping.py": {"numba"},
}

HEAVY = ("simpy", "numba", "pandas", "networkx", "scipy", "pyarrow", "yaml", "omegaconf", "hydra")
MODULES = sorted(PACKAGE.rglob("*.py"))


def layer_of(path: Path) -> str:
    inside = path.relative_to(PACKAGE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def imports_of(source: str, package: str) -> set[str]:
    """Dotted names that a module imports, inside functions too, relative imports made absolute."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return names


def offences(layer: str, imported: set[str], excepted: Set[str] = frozenset()) -> list[str]:
    """What of ``imported`` the layer may not import; ``excepted`` are libraries that this one module may."""
    found = []
    for name in sorted(imported):
        top, _, rest = name.partition(".")
        if top == "twin":
            target = rest.split(".")[0]
            if target in LAYERS and target != layer and target not in LAYERS[layer]:
                found.append(name)
        elif top not in sys.stdlib_module_names and top not in LIBRARIES[layer] | excepted:
            found.append(name)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_imports_only_what_its_layer_may(path: Path) -> None:
    layer = layer_of(path)
    assert layer in LAYERS, f"{path} is in no layer of the table; give its folder a row in LAYERS and LIBRARIES"
    package = ".".join(path.relative_to(ROOT).parent.parts)
    excepted = EXCEPTIONS.get(path.relative_to(PACKAGE).as_posix(), set())
    assert offences(layer, imports_of(path.read_text(encoding="utf-8"), package), excepted) == []


@pytest.mark.parametrize(
    ("layer", "source", "offence"),
    [
        ("plant", "import twin.policy", ["twin.policy"]),
        ("plant", "from twin import results", ["twin.results"]),
        ("policy", "from twin.hall.parts import Hall", ["twin.hall.parts.Hall"]),
        ("policy", "def f():\n    import pandas.io", ["pandas.io"]),
        ("results", "from ..sim import scenario", ["twin.sim.scenario"]),
        ("sim", "import hydra", ["hydra"]),
        ("workload", "from twin.hall.parts import Hall\nimport math, numpy.linalg", []),
    ],
)
def test_the_rule_sees_what_it_forbids(layer: str, source: str, offence: list[str]) -> None:
    assert offences(layer, imports_of(source, f"twin.{layer}")) == offence


def test_an_exception_is_used() -> None:
    for name, libraries in EXCEPTIONS.items():
        source = (PACKAGE / name).read_text(encoding="utf-8")
        imported = {found.partition(".")[0] for found in imports_of(source, "twin")}
        assert libraries <= imported, f"{name} needs {sorted(libraries - imported)} no more"


def test_simpy_is_imported_in_sim_alone() -> None:
    users = {layer for layer, libraries in LIBRARIES.items() if "simpy" in libraries}
    assert users == {"sim"}


def test_the_clock_knows_no_library_but_simpy() -> None:
    clock = (PACKAGE / "sim" / "clock.py").read_text(encoding="utf-8")
    outside = {name.partition(".")[0] for name in imports_of(clock, "twin.sim")} - set(sys.stdlib_module_names)
    assert outside <= {"simpy", "twin"}


def loaded_after(statement: str, names: tuple[str, ...]) -> list[str]:
    """Which of ``names`` a fresh interpreter has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(*[name for name in {names!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_policy_loads_no_simulator() -> None:
    others = tuple(f"twin.{layer}" for layer in LAYERS if layer not in ("policy", "__init__"))
    assert loaded_after("import twin.policy", (*HEAVY, *others)) == []


def test_help_loads_no_libraries() -> None:
    statement = "import contextlib, io\nfrom twin.__main__ import main\n"
    statement += "with contextlib.redirect_stdout(io.StringIO()):\n    assert main(['--help']) == 0"
    assert loaded_after(statement, ("numpy", "rich", *HEAVY)) == []


def test_the_pytest_plugin_loads_no_libraries() -> None:
    assert loaded_after("import twin.pytest_plugin", ("numpy", "rich", "twin.studies", *HEAVY)) == []


def test_no_module_is_a_drawer() -> None:
    """One idea per file: no module named for nothing, none past 500 lines."""
    assert [path for path in MODULES if path.stem in ("utils", "util", "helpers", "common", "misc")] == []
    long = {
        str(path.relative_to(ROOT)): n for path in MODULES if (n := len(path.read_text("utf-8").splitlines())) > 500
    }
    assert long == {}
