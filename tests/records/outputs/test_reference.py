"""The reference page says what a run's directory holds, as it is now."""

from pathlib import Path

import pytest

from pipeline.objective import Objective
from pipeline.records.entries.trials import TrialRecord
from pipeline.records.layout import Layout
from pipeline.records.outputs import reference, tables
from pipeline.records.outputs.columns import TRIALS, Column, TrialRow
from pipeline.records.outputs.reference import FILES, page

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "run-directory.md"


def test_the_page_is_as_it_would_be_made_now() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


def test_it_names_each_file_of_the_layout() -> None:
    layout = Layout("RUN")
    folders = {layout.root, layout.best, layout.trials}
    names = {path for path in vars(layout).values() if isinstance(path, Path)} - folders
    assert names <= {path for path, _ in FILES}


def test_a_column_is_one_entry_and_then_it_is_in_the_table_and_on_the_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node: Column[TrialRow] = Column("node", "where the trial ran", lambda row: row.record.node)
    for module in (tables, reference):
        monkeypatch.setattr(module, "TRIALS", (*TRIALS, node))
    record = TrialRecord("t0000", {}, "finished", node="10.0.0.2")
    table = tables.trials_table({"t0000": record}, [], Objective("val_loss", "min"))
    assert list(table["node"]) == ["10.0.0.2"] and list(table.columns)[-1] == "node"
    assert "| `node` | where the trial ran |" in reference.page()
