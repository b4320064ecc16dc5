"""What a real search records of its scheduler's decisions, and that a resume records none twice."""

import shutil

import pandas as pd
import pytest

from pipeline.records.entries.decisions import read_decisions
from pipeline.watch import Watcher


class Told(Watcher):
    def __init__(self):
        self.decisions, self.reports, self.warnings = [], set(), []
        self.early = []  # decisions that came before the reports that they follow from

    def warned(self, text):
        self.warnings.append(text)

    def reported(self, report):
        self.reports.add((report.trial, report.epoch))

    def decided(self, decision):
        self.decisions.append(decision)
        if (decision.trial, decision.epoch) not in self.reports:
            self.early.append(decision)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["asha", "hyperband"])
def test_each_decision_is_recorded_and_told_once_and_a_resume_adds_what_is_new(search, scheduler):
    watcher = Told()
    settings = {"scheduler": scheduler, "searcher": "random", "max_epochs": 4, "max_concurrent": 1}
    run = search(trials=6, watchers=[watcher], **settings)
    decisions = read_decisions(run.layout)
    assert decisions == watcher.decisions and decisions and not watcher.early
    stopped = set(run.trials[run.trials["status"] == "stopped"]["trial"])
    assert stopped == {
        d.trial for d in decisions if d.verdict == "stop" and d.epoch < settings["max_epochs"]
    }
    waited = {d.trial for d in decisions if d.verdict == "pause"}
    over = {d.trial for d in decisions if d.verdict != "pause"}
    assert waited <= over, "each that waited was let on or stopped"
    for decision in decisions:
        assert decision.rung and decision.reason
        assert 1 <= decision.rank <= decision.of <= 6 and decision.went_on <= decision.of
    more = Told()
    longer = search(
        resume=run.directory,
        trials=8,
        watchers=[more],
        storage=str(run.directory.parent),
        **settings,
    )
    found = read_decisions(longer.layout)
    assert found == decisions + more.decisions
    assert len(found) == len({(d.trial, d.epoch, d.verdict, d.rung) for d in found})
    assert {d.trial for d in more.decisions} & {"t0006", "t0007"}


@pytest.mark.ray
@pytest.mark.slow
def test_a_resume_that_has_lost_decisions_says_so_and_comes_to_the_same(search):
    settings = {"scheduler": "asha", "searcher": "random", "max_epochs": 4, "max_concurrent": 1}
    run = search(trials=4, name="whole", **settings)
    hurt = shutil.copytree(run.directory, run.directory.with_name("hurt"))
    for path in (hurt / "decisions.jsonl", hurt / ".copies" / "decisions.jsonl"):
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([lines[0], b"damaged\n", *lines[2:]]))
    watcher = Told()

    mended = search(resume=hurt, trials=6, watchers=[watcher], **settings)

    (warning,) = watcher.warnings
    assert "decisions.jsonl was damaged, and so was its copy; 1 of its" in warning
    assert read_decisions(mended.layout)[-len(watcher.decisions) :] == watcher.decisions
    whole = search(resume=run.directory, trials=6, **settings)
    for one, other in ((mended.trials, whole.trials), (mended.history, whole.history)):
        pd.testing.assert_frame_equal(one.drop(columns="seconds"), other.drop(columns="seconds"))
