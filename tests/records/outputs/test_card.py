"""The card says of each model what is true of it."""

from typing import Any

import pytest

from pipeline.records.outputs.card import model_card
from pipeline.records.outputs.model_check import ModelCheck


def summary(**changed: Any) -> dict[str, Any]:
    """That of a search whose best epoch was saved."""
    check = ModelCheck.of("val_loss", 0.5, 0.5, 1e-5)
    plain = {
        "objective": "val_loss:min",
        "best": {"trial": "0000", "epoch": 3, "objective": 0.5, "hyperparameters": {"units": 8}},
        "trials": {"total": 2},
        "epochs": 6,
        "wall_clock_s": 12.3,
        "saved": "best epoch",
        "scores": {"test": {"rmse": {"value": 1.5, "low": 1.0, "high": 2.0}}},
        "test": {"loss": 0.7},
        "baseline": None,
        "check": check.plain(),
        "versions": {"keras": "3"},
        "data": {
            "name": "rows",
            "source": "rows.csv",
            "licence": "",
            "task": "regression",
            "classes": None,
            "class_names": None,
            "target": "grams",
            "counts": {"train": 55, "val": 54, "test": 11},
            "files_sha256": {"rows.csv": "ab12"},
        },
    }
    return plain | changed


def refit() -> dict[str, Any]:
    """That of a search with folds."""
    return summary(
        check=ModelCheck.of("val_loss", 0.5, 0.5, 1e-5, folds=2).plain(),
        saved="refit",
        refit_epochs=1,
        refit_examples=109,
        folds=[{"loss": 0.4}, {"loss": 0.6}],
        spread=0.1,
    )


def test_a_model_of_one_validation_split() -> None:
    card = model_card(summary(), "table")

    for said in (
        "- Examples: 55 train, 54 validate, 11 are kept for the test\n",
        "- SHA-256 of rows.csv: `ab12`\n",
        "2 configurations were tried in 6 epochs and 12 s;",
        "The model is of epoch 3 of trial 0000.",
        "- the saved model, measured again, and equal to what was recorded\n",
        "It learnt from 55 examples,",
        "- Its validation score chose it among others",
    ):
        assert said in card
    assert "- loss:" not in card


def test_one_that_was_trained_anew_was_compared_with_nothing() -> None:
    card = model_card(refit(), "table")

    for said in (
        "- Examples: 109 train, 11 are kept for the test\n",
        "The model is trained anew on training and validation examples for 1 epoch.",
        "- val_loss: 0.5, the mean of 2 folds (± 0.1)\n",
        "- the models of the folds, measured again, and equal to what was recorded (the mean of "
        "the models of 2 folds)\n",
        "- the saved model could be compared with nothing: it learnt from the validation examples "
        "too\n",
        "It learnt from 109 examples,",
        "- Its configuration's validation score chose it among others",
    ):
        assert said in card
    assert "the saved model, measured" not in card and "55" not in card


@pytest.mark.parametrize("saved", [summary, refit])
def test_counts_of_one_and_a_loss_that_is_not_of_the_target(saved: Any) -> None:
    given = saved() | {"trials": {"total": 1}, "epochs": 1, "loss_target_divided_by": 801.234}
    card = model_card(given, None)

    assert "1 configuration was tried in 1 epoch and 12 s;" in card
    assert (
        "- loss: of the target divided by 801.23, its standard deviation in the rows that train\n"
        in card
    )


def test_data_that_were_no_files_have_the_checksum_of_their_arrays() -> None:
    data = summary()["data"]
    del data["files_sha256"]

    assert "- SHA-256 of the arrays: `cd34`\n" in model_card(
        summary(data=data | {"arrays_sha256": "cd34"}), "arrays"
    )
