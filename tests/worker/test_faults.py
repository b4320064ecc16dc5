"""What ends a trial badly is sorted by type, and told without our frames."""

import numpy as np
import pytest

from pipeline import errors
from pipeline.errors import RequestError, UserCodeError, user_traceback
from pipeline.worker import faults
from pipeline.worker.faults import DEVICE_MEMORY, Diverged, classify


def caught(raising):
    try:
        raising()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def test_numpys_failed_allocation_and_kinds_of_memory_error_are_out_of_memory():
    class PinnedMemoryExhausted(MemoryError):
        pass

    for error in (caught(lambda: np.empty((2**40, 2**15))), PinnedMemoryExhausted("2 GiB")):
        assert classify(error).blames == "configuration"
        assert classify(error).reason.startswith("out of memory: ")


@pytest.mark.parametrize(
    "text",
    [
        "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 16 bytes",  # JAX
        "CUDA out of memory. Tried to allocate 2.00 GiB",  # Torch
        "failed call to cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY",  # TensorFlow
    ],
)
def test_a_backends_words_for_out_of_memory_are_known(text):
    assert classify(RuntimeError(text)).blames == "configuration"


def test_only_where_the_device_is_out_of_memory_may_more_of_a_gpu_help():
    assert (
        classify(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")).where
        == DEVICE_MEMORY
    )
    assert classify(caught(lambda: np.empty((2**40, 2**15)))).where == ""


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "Failed to allocate 2.00GiB on device ordinal 0",
    ],
)
def test_what_a_gpus_libraries_say_of_memory_is_known_where_there_is_a_gpu(text, monkeypatch):
    for shown, kind in {
        "0": "configuration",
        "GPU-a0a1": "configuration",
        "-1": "program",
        "": "program",
    }.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
        failure = classify(RuntimeError(text))
        assert failure.blames == kind and (failure.where == DEVICE_MEMORY) == (
            kind == "configuration"
        )


def test_a_fault_that_only_names_memory_is_the_programs():
    assert classify(RuntimeError("memory must be a number")).blames == "program"


def test_request_diverged_and_user_code_keep_their_message():
    assert vars(classify(RequestError("no images")))["blames"] == "request"
    assert (
        classify(Diverged("diverged: loss is nan in epoch 1")).reason
        == "diverged: loss is nan in epoch 1"
    )
    user = classify(UserCodeError("must import", "their traceback"))
    assert (user.blames, user.reason, user.traceback) == (
        "program",
        "must import",
        "their traceback",
    )


def test_the_reason_is_one_line_of_bounded_length():
    failure = classify(ValueError("first\n  second " + "x" * 900))

    assert failure.reason.startswith("ValueError: first second xxx")
    assert len(failure.reason) == 500


def test_a_long_error_of_tensorflow_keeps_the_cause_that_it_says_last():
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    error = caught(lambda: model.fit(np.ones((8, 3)), np.full(8, 7), verbose=0))
    assert len(str(error)) > 2 * faults.KEPT, "the places that it came through"
    reason = classify(error).reason
    assert reason.startswith("InvalidArgumentError: Graph execution error: Detected at node")
    assert "Received a label value of 7 which is outside the valid range of [0, 4)" in reason
    assert "…" in reason and len(reason) == faults.KEPT


def test_one_fault_at_one_place_is_told_from_another():
    def here():
        raise ValueError("1")

    def there():
        raise ValueError("1")

    assert classify(caught(here)).where == classify(caught(here)).where
    assert classify(caught(here)).where != classify(caught(there)).where


def test_our_frames_are_left_out_before_and_between_and_in_the_cause(monkeypatch):
    """Ours are those of this file's helper, compiled as a file of `pipeline`."""
    ours: dict = {}
    file = f"{errors.OUR_CODE}worker/pretended.py"
    exec(compile("def through(call):\n    call()\n", file, "exec"), ours)

    def theirs():
        try:
            ours["through"](lambda: {}["width"])
        except KeyError as error:
            raise ValueError("no width") from error

    told = user_traceback(caught(lambda: ours["through"](theirs)))

    assert "pretended.py" not in told
    assert ", in theirs" in told
    assert "KeyError: 'width'" in told and "direct cause" in told
    assert told.endswith("ValueError: no width\n")


def test_frames_of_our_families_are_told_of_where_they_were_installed():
    installed: dict = {}
    for file, text in (
        ("search_spaces/mlp.py", "def build():\n    return {}['width']\n"),
        ("worker/pretended.py", "def through(call):\n    call()\n"),
    ):
        exec(compile(text, f"{errors.OUR_CODE}{file}", "exec"), installed)

    told = user_traceback(caught(lambda: installed["through"](installed["build"])))

    assert "search_spaces/mlp.py" in told and "pretended.py" not in told


def test_an_error_of_ours_alone_keeps_its_frames():
    error = caught(lambda: None.missing)  # type: ignore[attr-defined]
    ours: dict = {}
    exec(
        compile("def own():\n    raise TypeError('ours')\n", f"{errors.OUR_CODE}own.py", "exec"),
        ours,
    )
    error = caught(ours["own"])
    error.__traceback__ = error.__traceback__.tb_next

    assert "own.py" in user_traceback(error)
