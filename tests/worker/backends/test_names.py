"""What backends do differently is in one folder: no other file of the package names one.

But for `data/pipelines`: `tf.data` is a form of data, which Keras takes on every backend.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILES = sorted(
    file
    for file in (ROOT / "pipeline").rglob("*.py")
    if not file.is_relative_to(ROOT / "pipeline" / "worker" / "backends")
    and not file.is_relative_to(ROOT / "pipeline" / "data" / "pipelines")
)
BACKEND = re.compile(r"tensorflow|torch|(?<![a-z])jax|\btf\b(?!\.data)|\bTF_", re.IGNORECASE)


def named(tree):
    """Where code names a backend: (line, what), whether imported, written, or as an identifier."""
    prose = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        words = []
        if isinstance(node, ast.Import | ast.ImportFrom):
            words = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
        elif isinstance(node, ast.Constant) and node not in prose:
            words = [node.value] if isinstance(node.value, str) else []
        elif isinstance(node, ast.Name):
            words = [node.id]
        elif isinstance(node, ast.Attribute):
            words = [node.attr]
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.arg | ast.keyword):
            words = [getattr(node, "name", None) or getattr(node, "arg", None) or ""]
        yield from ((node.lineno, word) for word in words if BACKEND.search(word))


@pytest.mark.parametrize(
    ("code", "times"),
    [
        ("import tensorflow as tf", 1),
        ("from keras.src.backend.jax import trainer", 1),
        ("from pipeline.worker.backends import torch", 1),
        ("if keras.backend.backend() == 'jax': pass", 1),
        ("os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'", 1),
        ("def claim_torch(): return tf.config", 2),
        ('"""On TensorFlow."""\n# and on JAX', 0),
        ("ajaxed = stf = 'ajax'", 0),
    ],
)
def test_a_name_is_found_wherever_code_may_have_it(code, times):
    assert len(list(named(ast.parse(code)))) == times


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(ROOT)) for file in FILES])
def test_no_other_file_names_a_backend(file):
    assert list(named(ast.parse(file.read_text(encoding="utf-8")))) == []


def test_what_a_driver_asks_of_a_backend_imports_neither_keras_nor_any_backend():
    code = """
import sys
from pipeline.worker.backends import known
assert [backend.name for backend in known.KNOWN] == ["tensorflow", "jax", "torch"]
assert known.asked_for().name == "jax" and known.named("numpy").plans == ("plain",)
print([name for name in ("keras", "tensorflow", "jax", "torch", "numpy") if name in sys.modules])
"""
    environment = {"PYTHONPATH": str(ROOT), "KERAS_BACKEND": "jax"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
