"""What a notebook shows of a search; the kernel itself: tests/engine/test_notebook.py."""

import sys

from pipeline.console.display import Display, display
from pipeline.console.notebook import NotebookDisplay, in_notebook, search_html
from pipeline.console.plan import plan_rows
from pipeline.console.progress import SearchProgress
from tests.console.conftest import record, report


def test_where_ipython_is_absent_or_has_no_kernel_there_is_no_notebook(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", None)
    assert not in_notebook()
    monkeypatch.delitem(sys.modules, "IPython")
    import IPython

    assert IPython.get_ipython() is None and not in_notebook()
    assert isinstance(display(quiet=False), Display)


def test_the_plan_the_trials_and_how_far_the_search_is_are_plain_html(plan_of):
    progress, plan = SearchProgress(), plan_of()
    assert search_html({}, progress, "Loading data …") == "<div>Loading data …</div>"
    progress.planned(plan)
    for place, units in enumerate((8, 16)):
        progress.started(record(f"t000{place}", units=units, optimizer="adam"))
        progress.reported(report(f"t000{place}", 1, 0.5))
    html = search_html(plan_rows(plan), progress, "")
    assert '<td style="text-align:left">val_accuracy, maximised</td>' in html
    assert "<th>epoch</th><th>val_accuracy</th><th>units</th></tr>" in html
    assert "<tr><td>t0001</td><td>running</td><td>1</td><td>0.5</td><td>16</td></tr>" in html
    assert (
        "<div>0/4 trials · 2 epochs · best val_accuracy 0.5 (t0000) · 0:00:00 passed</div>" in html
    )
    assert "<script" not in html and "…" not in html


def test_what_user_code_is_called_is_text_and_no_html(plan_of):
    progress = SearchProgress()
    progress.planned(plan_of())
    progress.started(record("t0000", **{"<b>": "<script>"}))
    html = search_html({"dataset": "<i>"}, progress, "")
    assert "<th>&lt;b&gt;</th>" in html and "<td>&lt;script&gt;</td>" in html
    assert "<b>" not in html and "<script>" not in html and "<i>" not in html


def test_all_of_it_is_one_display_that_is_drawn_anew(plan_of, capsys):
    """Without a kernel, IPython prints what a kernel would be sent."""
    shown = NotebookDisplay()
    shown.preparing("loading data")
    handle = shown._shown
    shown.planned(plan_of())
    with shown.searching():
        shown.started(record("t0000", units=8))
        for _ in range(100):
            shown.tick()  # not drawn each time
        shown.ended(record("t0000", "finished", units=8))
    assert shown._shown is handle
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and "Loading data …" in lines[0] and "1/4 trials" in lines[2]
