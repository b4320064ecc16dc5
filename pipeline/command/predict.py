"""`kerasweep predict RUN rows.csv`: what the best model of a run says of new rows, or pictures."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import RequestError, one_line

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
WRITERS = {".csv": "to_csv", ".parquet": "to_parquet", ".feather": "to_feather"}


@app.command()
def predict(
    run: Annotated[str, typer.Argument(help="A run's directory, or its best/model.keras.")],
    rows: Annotated[
        str,
        typer.Argument(
            help="A table with the columns that were trained on; or a picture, or a folder of them."
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(help="File for the predictions, by its ending CSV, Parquet or Feather."),
    ] = None,
) -> None:
    """Predict for each row or picture; CSV on standard output unless a file is given."""
    ending = ".csv" if output is None else Path(output).suffix.lower()
    if ending not in WRITERS:
        raise RequestError(
            f"--output must end in {', '.join(WRITERS)}; got {one_line(str(output))}."
        )
    from pipeline.worker.serving.served import load_model

    told = load_model(run).predict(rows)
    if told.index.name is not None:  # of pictures their files
        told = told.reset_index()
    if output is None:
        told.to_csv(sys.stdout, index=False)
        return
    options = {} if ending == ".feather" else {"index": False}
    try:
        getattr(told, WRITERS[ending])(output, **options)
    except OSError as error:
        raise RequestError(
            f"--output must be a file that can be written; {one_line(str(error))}."
        ) from error
    print(f"{len(told)} predictions: {output}")
