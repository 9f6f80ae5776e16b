"""Rules that hold everywhere in the package: no pickle, no eval, no hidden state, no drawer for odds and ends."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import crowdllm

SRC = Path(crowdllm.__file__).parent
REPOSITORY = Path(__file__).parents[1]
FILES = sorted(SRC.rglob("*.py"))
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
CALLS = {
    "random.seed": "seeds a global generator",
    "np.random.seed": "seeds a global generator",
    "numpy.random.seed": "seeds a global generator",
    "torch.manual_seed": "seeds a global generator",
    "torch.seed": "seeds a global generator",
    "torch.cuda.manual_seed": "seeds a global generator",
    "torch.cuda.manual_seed_all": "seeds a global generator",
    "torch.random.manual_seed": "seeds a global generator",
    "torch.load": "reads a pickle",
    "torch.save": "writes a pickle",
    "pd.read_pickle": "reads a pickle",
    "warnings.filterwarnings": "filters warnings for everybody",
    "warnings.simplefilter": "filters warnings for everybody",
    "logging.basicConfig": "sets up logging for everybody",
    "os.system": "runs a shell",
}
GLOBAL_DRAWS = {
    "random",
    "rand",
    "randn",
    "randint",
    "choice",
    "shuffle",
    "permutation",
    "normal",
    "uniform",
    "get_state",
}
GLOBAL_DRAWS |= {"set_state", "sample", "standard_normal", "beta", "gamma", "poisson", "binomial", "multinomial"}


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def offences(tree: ast.AST) -> Iterator[str]:
    """What a module does that none may, as `line: what`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in MODULES:
                    yield f"{node.lineno}: imports {alias.name}"
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").partition(".")[0] in MODULES:
                yield f"{node.lineno}: imports {node.module}"
            if node.module in ("warnings", "random", "numpy.random"):
                yield f"{node.lineno}: imports names of {node.module}, which hides what they do"
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            if name in BUILTINS:
                yield f"{node.lineno}: calls {name}"
            elif name in CALLS:
                yield f"{node.lineno}: {name} {CALLS[name]}"
            elif (
                name.rpartition(".")[0] in ("np.random", "numpy.random", "random")
                and name.split(".")[-1] in GLOBAL_DRAWS
            ):
                yield f"{node.lineno}: {name} draws from a global generator"
            elif any(k.arg == "allow_pickle" and getattr(k.value, "value", None) is not False for k in node.keywords):
                yield f"{node.lineno}: {name} allows pickles"
            elif any(k.arg == "shell" and getattr(k.value, "value", None) is not False for k in node.keywords):
                yield f"{node.lineno}: {name} runs a shell"
        elif isinstance(node, ast.ExceptHandler) and (
            node.type is None or (dotted(node.type) == "BaseException" and not raises_again(node))
        ):
            yield f"{node.lineno}: catches everything, also a keyboard interrupt"


def raises_again(handler: ast.ExceptHandler) -> bool:
    return any(isinstance(node, ast.Raise) and node.exc is None for node in ast.walk(handler))


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import dump",
        "eval('1')",
        "exec('1')",
        "import numpy as np; np.random.seed(0)",
        "import numpy as np; np.random.rand(3)",
        "import random; random.shuffle(x)",
        "import torch; torch.manual_seed(0)",
        "torch.load(f)",
        "np.load(f, allow_pickle=True)",
        "subprocess.run('ls', shell=True)",
        "import warnings; warnings.filterwarnings('ignore')",
        "from warnings import filterwarnings",
        "try:\n    f()\nexcept:\n    pass",
        "try:\n    f()\nexcept BaseException:\n    pass",
    ],
)
def test_an_offence_is_seen(code: str) -> None:
    assert list(offences(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "'import pickle'",
        "model.eval()",
        "rng.shuffle(x)",
        "np.random.Generator(np.random.Philox(key=1))",
        "re.compile('x')",
        "torch.Generator().manual_seed(0)",
        "np.load(f, allow_pickle=False)",
        "try:\n    f()\nexcept BaseException:\n    g()\n    raise",
        "try:\n    f()\nexcept ValueError:\n    pass",
    ],
)
def test_what_is_allowed_is_no_offence(code: str) -> None:
    assert not list(offences(ast.parse(code)))


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(SRC)) for path in FILES])
def test_a_module_keeps_the_rules(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = list(offences(tree))
    assert not found, "\n".join(f"{path}:{offence}" for offence in found)
    if path.read_text(encoding="utf-8").strip():
        assert ast.get_docstring(tree), f"{path}: the first line must say what the module does"


def test_there_is_no_drawer_for_odds_and_ends() -> None:
    assert not [path for path in FILES if path.stem in ("utils", "util", "common", "base", "helpers", "misc")]


def tracked_files() -> list[Path]:
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout: clone the repository to run this test")
    return [REPOSITORY / name for name in done.stdout.decode().split("\0") if name]


def test_no_file_over_a_megabyte_is_tracked() -> None:
    files = [path for path in tracked_files() if path.is_file()]
    assert len(files) > 50
    large = {str(path): path.stat().st_size for path in files if path.stat().st_size > 1_000_000}
    assert not large


def test_tests_have_no_packages_so_that_names_may_repeat() -> None:
    assert not list((REPOSITORY / "tests").rglob("__init__.py"))
