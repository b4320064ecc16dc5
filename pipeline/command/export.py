"""`kerasweep export RUN --format onnx`: the best model of a run for another runtime."""

import os
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from pipeline.data.files.data_file import DataFile
from pipeline.data.files.hugging_face import is_saved
from pipeline.data.pictures.listing import pictures_in
from pipeline.data.tables.preparation import Preparation
from pipeline.errors import KerasweepError, RequestError, one_line
from pipeline.experiment import Experiment
from pipeline.records.settings import read_experiment
from pipeline.settings_text import settings_in

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
COMPARED = 32  # rows


@app.command()
def export(
    run: Annotated[str, typer.Argument(help="A run's directory.")],
    format: Annotated[str, typer.Option(help="saved_model, onnx or litert.")] = "saved_model",
    output: Annotated[
        str | None, typer.Option(help="Where it is written [default: in the run's best]")
    ] = None,
) -> None:
    """Write the best model in another format, and compare both on examples of the run's data."""
    from pipeline.worker.backends.exports import check_format, export_here

    export_here()
    from pipeline.engine.run import open_run
    from pipeline.worker.serving.export import check_single_input, largest_difference
    from pipeline.worker.serving.export import export as write

    asked = check_format(format)
    opened = open_run(run)
    model = opened.best_model()
    path = Path(output) if output else opened.layout.best / asked.file
    check_single_input(model)
    inputs, what = inputs_to_compare_by(opened, model)
    write(model, format, path)
    print(f"Written: {path}")
    difference = largest_difference(model, format, path, inputs)
    if difference is None:
        print(f"Not compared with the original: {asked.runtime} is not installed.")
    else:
        print(f"Compared with the original on {what}: largest difference {difference:.2g}.")


def inputs_to_compare_by(run: Any, model: Any) -> tuple[Any, str]:
    """Inputs of a run's best model, and what they are: those of real rows where that can be."""
    from pipeline.worker.serving.served import ServedModel, served

    knows: ServedModel | None = None
    try:
        # there is none for data that only a `fit` can feed
        if run.layout.best_preprocessing.is_file():
            knows = served(model, run.layout.best_model)
        inputs, what = _real_inputs(run, knows)
        wanted = tuple(model.input_shape[1:])
        if inputs.shape[1:] != wanted:
            raise RequestError(f"its data are of shape {inputs.shape[1:]} now; it takes {wanted}")
        return inputs, what
    except KerasweepError as error:
        why = one_line(str(error)).rstrip(".")
    if knows is not None:
        inputs = knows.made_up_inputs(COMPARED)
    else:
        shape = (COMPARED, *model.input_shape[1:])
        inputs = np.random.default_rng(0).normal(size=shape).astype(model.inputs[0].dtype)
    return inputs, f"{COMPARED} made-up inputs, since its data could not be taken ({why})"


def _real_inputs(run: Any, knows: Any) -> tuple[Any, str]:
    """Inputs made of a run's first rows, or pictures, by what stands beside its model.

    Of data that are neither in a file of rows nor in a folder of pictures, those of the validation
    split.

    Raises:
        KerasweepError: they are not there, or no longer what they were.
    """
    from pipeline.worker.serving.inputs import read_rows
    from pipeline.worker.spaces.loading import load_dataset

    settings = settings_in(read_experiment(run.layout), str(run.layout.experiment))
    if not isinstance(settings.get("dataset"), str):
        raise RequestError("they were a Python object, which is not recorded")
    experiment = Experiment(**settings | {"search_space": "mlp"})  # any: it may have been an object
    source = experiment.resolved_dataset()
    if isinstance(source, DataFile) and knows is not None:
        path, kind = source.path, knows.preprocessing["kind"]
        if kind == "table" and source.is_table:
            preparation = Preparation.of_plain(knows.preprocessing["columns"])
            rows = read_rows(path, preparation)[:COMPARED]
            return knows.inputs(rows), f"{len(rows)} rows of {Path(path).name}"
        if kind == "pictures" and os.path.isdir(path) and not is_saved(path):
            pictures = pictures_in(path)[:COMPARED]
            return knows.inputs(pictures), f"{len(pictures)} pictures of {Path(path).name}"
    x = load_dataset(source, experiment.seed).measured()["validation"][0]
    if not isinstance(x, np.ndarray):
        raise RequestError("they are no single array")
    return x[:COMPARED], f"{len(x[:COMPARED])} rows of the validation split"
