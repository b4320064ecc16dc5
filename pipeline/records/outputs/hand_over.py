"""What stands beside the best model for those that it is handed to: its card, and a server."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from pipeline.records.layout import Layout, persist, write_whole
from pipeline.records.outputs.card import model_card
from pipeline.records.outputs.checksums import sum_of, write_checksums
from pipeline.records.outputs.serve_program import serve_program


def write_hand_over(
    layout: Layout, summary: Mapping[str, Any], takes: str | None, beside: Mapping[str, str]
) -> None:
    """Write them, and record their checksums.

    Args:
        layout: where `best/` is.
        summary: what `summary.json` is to hold.
        takes: table, pictures or arrays; None where only the search space's own `fit` knows.
        beside: what is recorded of other files.
    """
    files = {layout.best_card: model_card(summary, takes)}
    if takes is not None and layout.best_model.is_file():
        files[layout.best_server] = serve_program(takes)
    for path, text in files.items():
        persist(layout, path, partial(write_whole, path, text))
    written = {path: sum_of(path) for path in files}
    write_checksums(layout, written, beside=beside)
