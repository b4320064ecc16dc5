"""The past of a resumed run, put back.

Tune's trials, the scheduler's state, and which trials go first.
"""

from collections.abc import Callable

from ray.tune.experiment import Trial

from pipeline.engine.trials.ask_tell import AskTell
from pipeline.engine.trials.supervisor import PastReport, Supervisor
from pipeline.objective import Objective
from pipeline.records.ledger import Ledger
from pipeline.records.trials import ENDED
from pipeline.search.searcher import Searcher
from pipeline.watch import Watcher


def replay(
    ledger: Ledger,
    adapter: AskTell,
    supervisor: Supervisor,
    searcher: Searcher,
    objective: Objective,
    create: Callable[..., Trial],
    watcher: Watcher,
) -> list[Trial]:
    """Replay the ledger's reports through the scheduler.

    Args:
        create: makes one of Tune's trials from its id and task.
        watcher: is told who waits.

    Returns:
        The unfinished trials, in order, as Tune is to take them up.
    """
    trials = {
        name: create(name, adapter.task(name, record.hyperparameters or record.configuration))
        for name, record in ledger.trials.items()
    }
    ended = {name for name, record in ledger.trials.items() if record.status in ENDED}
    last = {report.trial: report.epoch for report in ledger.reports}
    reports = [
        PastReport(
            report.trial,
            report.epoch,
            objective.worst if report.objective is None else report.objective,
            last=report.trial in ended and report.epoch == last[report.trial],
            final=report.final,
            failed=ledger.trials[report.trial].status == "failed",
            diverged=report.objective is None,
        )
        for report in ledger.reports
    ]
    # A driver killed between a decision and its record: the decision follows from the reports, so
    # it is made again.
    before = {name: record.after for name, record in ledger.trials.items()}
    for name in supervisor.replay(trials.values(), ended, reports, before):
        ledger.end(name, "finished" if last.get(name, 0) >= adapter.max_epochs else "stopped")
        searcher.tell_end(name)
    unfinished = [trials[name] for name in ledger.unfinished()]
    for trial in unfinished:
        if trial.status == Trial.PAUSED:
            watcher.waits(ledger.trials[trial.trial_id])
    return unfinished
