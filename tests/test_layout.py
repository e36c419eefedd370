"""The rules of the layout: imports run downwards, imports are light, packages keep their budget of lines."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from tests.programs import find_program

ROOT = Path(__file__).parent.parent
LONGEST = 900
BUDGET = Path(__file__).with_name("budget.toml")
BUILT = re.compile(
    r"(^|/)(\.(?!ci/|github/|gitignore|pre-commit)|build/|dist/|node_modules/|__pycache__/|[^/]+\.egg-info/)"
    r"|\.(so|py[cod])$"
)
"""What git ignores."""
HEAVY = (
    "PIL",
    "accelerate",
    "alembic",
    "argon2",
    "authlib",
    "bitsandbytes",
    "cleanlab",
    "cryptography",
    "fastapi",
    "fhir",
    "google",
    "highdicom",
    "httpx",
    "huggingface_hub",
    "jinja2",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "pandas",
    "peft",
    "pyarrow",
    "pycocoevalcap",
    "prometheus_client",
    "psycopg",
    "pydicom",
    "reportlab",
    "rouge_score",
    "scipy",
    "scrapy",
    "segno",
    "sklearn",
    "sqlalchemy",
    "starlette",
    "structlog",
    "tokenizers",
    "torch",
    "transformers",
    "twisted",
    "uvicorn",
    "webauthn",
)


def tracked(*endings: str) -> list[Path]:
    """The project's own files: those that git tracks, or would if they were added."""
    git = find_program("git")
    if git is not None and (ROOT / ".git").exists():
        command = [str(git), "ls-files", "--cached", "--others", "--exclude-standard"]
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        names = listing.stdout.splitlines()
    else:  # an archive of the source
        paths = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*")]
        names = [name for name in paths if not BUILT.search(name)]
    return [ROOT / name for name in names if name.endswith(endings or "") and (ROOT / name).is_file()]


def test_imports_run_downwards():
    program = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_no_file_imports_itself_through_others():
    """Circles between files, imports inside functions and for types alone counted too."""
    source = ROOT / "src"
    modules = {
        ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (source / "tetkik").rglob("*.py")
    }
    graph: dict[str, set[str]] = {}
    for name, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                found = {f"{node.module}.{alias.name}" for alias in node.names}
                wanted = {module if module in modules else node.module for module in found}
            elif isinstance(node, ast.Import):
                wanted = {alias.name for alias in node.names}
            else:
                continue
            graph.setdefault(name, set()).update((wanted & modules.keys()) - {name})
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


def test_no_script_imports_itself_through_others():
    """Whether at the beginning of the file or when it is needed; what a comment names is a type alone."""
    scripts = {}
    for script in (ROOT / "src/tetkik/service/static/js").rglob("*.js"):
        code = re.sub(r"/\*.*?\*/", "", script.read_text("utf-8"), flags=re.DOTALL)
        found = re.findall(r"(?:\bfrom |\bimport |\bimport\()'(\.[^']+)'", code)
        scripts[script] = {(script.parent / other).resolve() for other in found}
    assert any(scripts.values())
    graphlib.TopologicalSorter(scripts).prepare()


@pytest.mark.parametrize(
    "statement",
    [
        "import tetkik",
        "import tetkik.cli",
        "import tetkik.bundle",
        "import tetkik.workflow",
        "from tetkik.workflow import triage; triage('Gözlerim kızardı ve sulanıyor.', 'triage-linear-tr')",
    ],
)
def test_imports_are_light(statement):
    assert imported_by(statement).isdisjoint(HEAVY)


def test_a_service_starts_without_what_only_some_documents_need():
    routes = "from tetkik.service.app import routers; [*routers('api'), *routers('pages')]"
    assert "highdicom" not in imported_by(routes)


def imported_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_all_is_sorted_and_complete():
    faults = {
        str(path.relative_to(ROOT)): fault
        for path in sorted((ROOT / "src").rglob("*.py"))
        if (fault := _fault_of_all(path))
    }
    assert not faults


def _fault_of_all(path: Path) -> str | None:
    tree = ast.parse(path.read_text("utf-8"))
    listed = _listed(tree)
    if listed is None:
        return None
    if listed != sorted(listed, key=_kind_and_name):
        return "not sorted"
    if len(listed) != len(set(listed)):
        return "a name is listed twice"
    if not set(listed) <= _bound(tree):
        return "names that the module does not have"
    if path.name == "__init__.py" and not set(listed) >= _reexported(tree):
        return "re-exported but not listed"
    return None


def _kind_and_name(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, as ruff sorts them."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def _listed(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets
        ):
            return list(ast.literal_eval(node.value))
    return None


def _reexported(tree: ast.Module) -> set[str]:
    return {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tetkik")
        for alias in node.names
        if not (alias.asname or alias.name).startswith("_")
    }


def _bound(tree: ast.Module) -> set[str]:
    names = {"__version__"} | _reexported(tree)
    for node in tree.body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), body=body):  # what `__getattr__` imports later
                names |= _reexported(ast.Module(body, []))
            case ast.Try(body=body, handlers=handlers):
                for part in (body, *(handler.body for handler in handlers)):
                    names |= _bound(ast.Module(part, []))
    return names


def test_files_stay_short():
    long = {
        str(path.relative_to(ROOT)): count
        for path in tracked(".py")
        if (count := len(path.read_text("utf-8").splitlines())) > LONGEST
    }
    assert not long


def test_packages_keep_their_budget():
    """A package may fall; it rises only with its line in `budget.toml` and the reason in the same commit."""
    budget = tomllib.loads(BUDGET.read_text("utf-8"))
    lines = Counter(dict.fromkeys(budget, 0))
    for path in tracked(".py"):
        name = _budgeted(path.relative_to(ROOT))
        if name is not None:
            lines[name] += len(path.read_text("utf-8").splitlines())
    over = {
        name: f"{count} lines, budget {budget.get(name)}"
        for name, count in lines.items()
        if count > budget.get(name, 0)
    }
    assert not over


def _budgeted(path: Path) -> str | None:
    """The package that a file counts for: one of `tetkik` or its `lab`, the top, the tests."""
    match path.parts:
        case ["tests", *_]:
            return "tests"
        case ["src", "tetkik", "lab", name, _, *_]:
            return f"lab.{name}"
        case ["src", "tetkik", name, _, *_]:
            return name
        case ["src", "tetkik", _]:
            return "tetkik"
    return None


def test_nothing_is_left_for_later():
    words = re.compile(
        r"\b(TO" + "DO|FIX" + r"ME|XX" + r"X)\b|raise NotImplemented" + "Error|Being wri" + "tten"
    )
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in tracked(".py", ".c", ".md", ".toml", ".jinja", "Makefile", ".yaml")
        for match in words.finditer(path.read_text("utf-8"))
    ]
    assert not found


def test_no_path_of_one_machine():
    path_like = re.compile(r"(?<![\w./~])/(?:home|root|Users|work|tmp|mnt|srv)/[\w.-]+")
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in tracked(".py", ".c", ".md", ".toml", ".json", ".jinja", "Makefile", ".yaml", ".ci/run")
        for match in path_like.finditer(path.read_text("utf-8"))
    ]
    assert not found


def test_the_package_carries_its_data():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["tetkik"]
    source = ROOT / "src" / "tetkik"
    carried = {path for pattern in patterns for path in source.glob(pattern)}
    data = [path for path in tracked() if source in path.parents and path.suffix not in {".py", ".c"}]
    missing = [str(path.relative_to(source)) for path in data if path not in carried]
    assert not missing, "not in [tool.setuptools.package-data]"


def test_benchmarks_that_borrow_from_the_tests_find_them():
    """They are run as files, so the folder above is not on their path."""
    for path in (ROOT / "benchmarks").glob("*.py"):
        text = path.read_text("utf-8")
        assert "from tests." not in text or "sys.path.insert(0" in text, path.name
