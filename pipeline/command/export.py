"""`kerasweep export RUN --format onnx`: the best model of a run for another runtime."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.errors import RequestError

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
    """Write the best model in another format, and compare both on rows of the validation split."""
    from pipeline.worker.backends.exports import check_format, export_here

    export_here()
    from pipeline.engine.run import open_run
    from pipeline.worker.serving.export import export as write
    from pipeline.worker.serving.export import largest_difference

    asked = check_format(format)
    opened = open_run(run)
    model = opened.best_model()
    path = Path(output) if output else opened.layout.best / asked.file
    inputs, what = _inputs(opened, model)
    write(model, format, path)
    print(f"Written: {path}")
    difference = largest_difference(model, format, path, inputs)
    if difference is None:
        print(f"Not compared with the original: {asked.runtime} is not installed.")
    else:
        print(f"Compared with the original on {what}: largest difference {difference:.2g}.")


def _inputs(run: Any, model: Any) -> tuple[Any, str]:
    """Inputs to compare by, and what they are."""
    import numpy as np

    from pipeline.experiment import Experiment
    from pipeline.records.settings import read_experiment
    from pipeline.worker.spaces.loading import load_dataset

    try:
        experiment = Experiment.from_yaml(read_experiment(run.layout), str(run.layout.experiment))
        data = load_dataset(experiment.resolved_dataset(), experiment.seed)
        x = data.measured()["validation"][0][:COMPARED]
        return np.asarray(x), f"{len(x)} rows of the validation split"
    except RequestError:  # a Python object's, or a file that is gone
        shape = (COMPARED, *model.input_shape[1:])
        drawn = np.random.default_rng(0).normal(size=shape).astype(model.inputs[0].dtype)
        return drawn, f"{COMPARED} rows that were drawn at random, since its data are not here"
