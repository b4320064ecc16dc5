"""A run goes on under what was set in Keras when it was begun, or it is refused with what differs."""

import pytest

from pipeline.errors import RequestError
from pipeline.records.keras_settings import DEFAULTS, check_keras_settings, write_keras_settings
from pipeline.records.layout import Layout

NARROW = DEFAULTS | {"dtype_policy": "mixed_bfloat16", "epsilon": 1e-5}


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path)


@pytest.mark.parametrize("before", [{}, DEFAULTS, NARROW])
def test_the_same_settings_are_gone_on_with(layout, before):
    write_keras_settings(layout, before)
    check_keras_settings(layout, before)
    assert layout.keras_settings.exists() == (before == NARROW)


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (
            NARROW,
            {},
            "it had dtype_policy mixed_bfloat16, and it is float32; epsilon 1e-05, and it is 1e-07.",
        ),
        (
            {},
            DEFAULTS | {"floatx": "float64"},
            "it had floatx float32, and it is float64.",
        ),
    ],
)
def test_others_are_refused_with_what_they_were(layout, before, now, told):
    write_keras_settings(layout, before)
    with pytest.raises(RequestError) as caught:
        check_keras_settings(layout, now)
    assert str(caught.value) == (
        f"A resumed run keeps what was set in Keras; {told} Set it in the script "
        "(keras.config.set_dtype_policy and the like) that goes on with the run."
    )


def test_a_damaged_record_is_read_from_its_copy_and_refused_where_both_are(layout):
    write_keras_settings(layout, NARROW)
    layout.keras_settings.write_text("{")
    told = []
    check_keras_settings(layout, NARROW, told.append)
    assert told
    for file in (layout.keras_settings, layout.copy(layout.keras_settings)):
        file.write_text("{")
    with pytest.raises(RequestError, match="keras.json must hold what was set in Keras; "):
        check_keras_settings(layout, NARROW)
