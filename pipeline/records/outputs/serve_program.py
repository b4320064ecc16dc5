"""`best/serve.py`: a small program that answers requests with the model beside it."""

# What each kind of model is asked with, and how the program checks it.
_TABLE = '''
# What each kind of column may be; null where it is missing.
KINDS = {"number": float | str | None, "yes/no": bool | int | str | None}
OTHER = str | int | float | None
COLUMNS = model.preprocessing["columns"]
Row = create_model(
    "Row",
    **{
        f"column_{i}": (KINDS.get(column["kind"], OTHER), Field(alias=column["name"]))
        for i, column in enumerate(COLUMNS)
    },
)
Rows = Annotated[list[Row], Field(min_length=1, max_length=MOST)]


@app.post("/predict")
def predict(rows: Rows) -> list[dict[str, Any]]:
    """Predict for rows of a table: a list of objects with a value for each column."""
    return answer([row.model_dump(by_alias=True) for row in rows])
'''
_PICTURES = '''

@app.post("/predict")
def predict(picture: Annotated[bytes, Body(media_type="image/*")]) -> list[dict[str, Any]]:
    """Predict for one picture: the bytes of a PNG, JPEG or the like."""
    return answer(picture)
'''
_ARRAYS = '''

@app.post("/predict")
def predict(examples: Annotated[list[Any], Field(min_length=1, max_length=MOST)]) -> list[dict]:
    """Predict for arrays: a list of examples, each a list of numbers (of lists of numbers, …)."""
    return answer(examples)
'''
_PROGRAM = '''"""Answers requests with the model beside this file: uvicorn serve:app

Needs: pip install 'kerasweep[serve]'
Ask:   curl -X POST localhost:8000/predict {asked}
"""

import threading
from pathlib import Path
from typing import Annotated, Any

from fastapi import {fastapi}
{pydantic}
from pipeline import load_model
from pipeline.errors import RequestError

MOST = 10_000  # examples of one request
model = load_model(Path(__file__).parent)
app = FastAPI(title="The best model of a search")
one_at_a_time = threading.Lock()


@app.get("/")
def about() -> dict[str, Any]:
    """Say what the model takes and what its classes are called."""
    return dict(model.preprocessing)


def answer(given: Any) -> list[dict[str, Any]]:
    """Predict, or say in one line what is wrong with what was given."""
    try:
        with one_at_a_time:
            told = model.predict(given)
    except RequestError as error:
        raise HTTPException(422, str(error)) from error
    return told.to_dict("records")

'''
_ASKED = {
    "table": "-H 'Content-Type: application/json' -d '[{\"column\": 1, …}]'",
    "pictures": "-H 'Content-Type: image/png' --data-binary @picture.png",
    "arrays": "-H 'Content-Type: application/json' -d '[[0.1, …]]'",
}
_ENDS = {"table": _TABLE, "pictures": _PICTURES, "arrays": _ARRAYS}


def serve_program(takes: str) -> str:
    """The program for a model that takes a table's rows, pictures or arrays."""
    body = "Body, " if takes == "pictures" else ""
    fields = {"table": "Field, create_model", "arrays": "Field"}.get(takes)
    parts = {
        "asked": _ASKED[takes],
        "fastapi": f"{body}FastAPI, HTTPException",
        "pydantic": f"from pydantic import {fields}\n" if fields else "",
    }
    program = _PROGRAM
    for name, text in parts.items():
        program = program.replace(f"{{{name}}}", text)
    return program + _ENDS[takes]
