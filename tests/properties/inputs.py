"""What is tried, how often, and what must come of it: a right result, or an error that a person can
read."""

import contextlib
import functools
import io
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from pipeline import run
from pipeline.engine import tuning
from pipeline.errors import KerasweepError

# Inputs of each property.
TRIED = {
    "test_any_value_of_a_setting_is_taken_or_refused": 500,
    "test_any_settings_together_are_taken_or_refused": 200,
    "test_possible_settings_are_taken_and_come_back_from_yaml": 150,
    "test_any_objective_is_read_or_refused": 200,
    "test_any_duration_is_read_or_refused": 200,
    "test_any_command_line_is_carried_out_or_refused": 200,
    "test_any_name_is_found_or_refused_and_nothing_is_imported": 200,
    "test_any_module_is_found_or_refused_and_not_run": 150,
    "test_any_text_is_an_experiment_or_refused": 150,
    "test_any_yaml_is_an_experiment_or_refused": 100,
    "test_a_changed_experiment_is_read_or_refused": 200,
    "test_any_bytes_as_an_experiment_are_read_or_refused": 50,
    "test_any_json_is_a_start_or_refused": 100,
    "test_a_changed_start_is_tried_or_refused": 250,
    "test_a_field_of_a_record_may_be_anything": 120,
    "test_a_field_of_a_record_without_a_copy_may_be_anything": 120,
    "test_any_bytes_in_place_of_a_record_are_refused_or_its_copy_is_read": 60,
    "test_a_changed_sweep_is_planned_or_refused": 100,
    "test_any_yaml_is_a_sweep_or_refused": 50,
    "test_a_changed_record_of_a_sitting_is_read_or_refused": 50,
}
TRIES: Counter[str] = Counter()

LONGEST_ERROR = 6000  # every setting wrong at once, and each unreadably long


def tried(test: Callable[..., None]) -> Callable[..., None]:
    """Count the inputs of a property, as many as stand above."""

    @settings(max_examples=TRIED[test.__name__])
    @functools.wraps(test)
    def counted(*arguments: Any, **named: Any) -> None:
        TRIES[test.__name__] += 1
        test(*arguments, **named)

    return counted


# Inputs.

HARD_NUMBERS = [
    0,
    -1,
    2**31,
    2**32,
    2**63,
    10**18,
    10**400,
    -(10**400),
    10**4000,
    -0.0,
    5e-324,
    1e-300,
    1e300,
    1.0000001,
    float("nan"),
    float("inf"),
    float("-inf"),
    True,
    False,
]
HARD_TEXTS = [
    "",
    " ",
    ".",
    "..",
    "/",
    "~",
    "~/",
    "~nobody",
    "~nobody/x.py",
    "~\0",
    "\0",
    "\0.py",
    "a\nb",
    "a\r",
    "\x1b[31m",
    "\u2028",
    "\ud800",
    "\udcff",
    "x" * 300,
    "x" * 5000,
    "x" * 5000 + ".py",
    "x" * 5000 + ".yaml",
    "a/" * 3000,
    "9" * 5000,
    "1e999",
    "nan",
    "true",
    "null",
    "a:b",
    ":",
    "mnist:",
    "mnist:load",
    "mnist:\0",
    "a.b.c",
    "." * 1000,
    "antigravity",
    "this",
    "__main__",
    "os.system",
    "s3://bucket",
    "ray://head:1",
    "a:99999999999",
    "val_loss",
    "val_loss:min",
    "val_loss:",
    ":min",
    "Did you mean 'this'?",
    "--trials",
    "=",
    "/dev/null",
    "/proc/self/mem",
]


def deep(levels: int) -> list[Any]:
    """A list in a list in a list."""
    nested: list[Any] = []
    for _ in range(levels):
        nested = [nested]
    return nested


texts = st.text(st.characters()) | st.sampled_from(HARD_TEXTS)
numbers = st.integers() | st.floats() | st.sampled_from(HARD_NUMBERS)
scalars = st.none() | st.booleans() | numbers | texts
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
anything = (
    json_values
    | st.binary()
    | st.tuples(scalars)
    | st.builds(object)
    | st.sampled_from([int, len, deep(500), range(3), {1, 2}, 1j])
)


@st.composite
def changed(draw: st.DrawFn, valid: str) -> str:
    """A valid text of which parts are left out, doubled, or replaced by something that is not."""
    text = valid
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        put = draw(
            texts
            | st.sampled_from(
                ["", text[start:end] * 2, "\n", "\t", "{", "[", "&a ", "*a", "!!int ", "<<: "]
            )
        )
        text = text[:start] + put[:1000] + text[end:]
    return text


# Outcomes.


class RayWouldStart(BaseException):
    """All that can be refused without Ray was not."""


def refusal(of: KerasweepError) -> str:
    """An error's text, which must be one that a person can read."""
    text = str(of)
    assert text.strip() and len(text) <= LONGEST_ERROR, text
    assert len(text.splitlines()) == 1, text
    assert all(c.isprintable() for c in text), text
    return text


def outcome(call: Callable[[], Any]) -> Any:
    """What is returned, or else the text of our refusal; any other exception is a fault."""
    try:
        return call()
    except KerasweepError as error:
        assert error.exit_code == 2
        refusal(error)
        return error


def command(*arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of the command line, up to where Ray would start: 0 there."""
    output, errors = io.StringIO(), io.StringIO()

    def reached(*_: Any, **__: Any) -> None:
        raise RayWouldStart

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["kerasweep", *arguments])
        patch.setattr(tuning, "cluster", reached)
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            try:
                run.main()
            except RayWouldStart:
                code = 0
            except SystemExit as done:
                code = done.code
    return code, output.getvalue(), errors.getvalue()


def carried_out_or_refused(*arguments: str) -> str:
    """Check the outcome of a command line; the refusal, or nothing."""
    code, output, errors = command(*arguments)
    assert code in (0, 2), (code, errors)
    assert "Traceback" not in output + errors
    if code == 0:
        assert errors == ""
        return ""
    assert output == "" and errors.startswith("Error: ")
    refusal(KerasweepError(errors.removesuffix("\n")))
    return errors


@contextlib.contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    """Nothing below a folder may be another than before."""

    def held() -> dict[Path, bytes | None]:
        return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}

    before = held()
    yield
    assert held() == before
