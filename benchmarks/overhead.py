"""What our layer over Ray Tune costs: Ray's own harness against the same load through our driver,
without Keras.

Run:  python benchmarks/overhead.py --n 3

Ray's side is `timed_tune_run`, as it is shipped, with Ray's defaults. Ours is a whole search but
for Keras: searcher, supervisor, recorder, ledger and retention as `tune` puts them together, in
trials that report what a model's would and sleep between. Each run is a process of its own, with 2
CPUs, actors reused, and a Ray of its own that is started before the clock; the sides take turns.
`growth_kb` is by how much the driver's resident memory grows a trial, over the last four fifths of
500 trials (with 16, what grows once hides it). Promised: at most 1.15 of Ray's time, and 100 KB a
trial. Writes `results/<date>-overhead.json`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import recording

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

CPUS = 2
# trials, reports each, seconds from one to the next
CASES = {"500 trials of 1 report": (500, 1, 0.1), "16 trials of 200 reports": (16, 200, 0.02)}
SIDES = ("ray", "ours")
PROMISED, PROMISED_KB = 1.15, 100


class Memory:
    """Resident memory of this process after each trial that ended."""

    def __init__(self):
        self.process = psutil.Process()
        self.bytes = []

    def ended(self):
        self.bytes.append(self.process.memory_info().rss)

    def growth_kb(self):
        """A trial, by a line through all but the first fifth: until then pools fill and modules are
        loaded."""
        if len(self.bytes) < 100:
            return None
        first = len(self.bytes) // 5
        return float(np.polyfit(range(first, len(self.bytes)), self.bytes[first:], 1)[0]) / 1e3


def ray_alone(trials, reports, every_s, folder):
    """Ray's harness: its seconds, and the driver's memory."""
    import ray
    from ray.tune import Callback
    from ray.tune.utils.release_test_util import timed_tune_run

    memory = Memory()

    class Ended(Callback):
        def on_trial_complete(self, iteration, trials, trial, **info):
            memory.ended()

    took = Path(folder, "took.json")
    os.environ["TEST_OUTPUT_JSON"] = str(took)
    ray.init(num_cpus=CPUS, include_dashboard=False, log_to_driver=False)
    timed_tune_run(
        "overhead",
        num_samples=trials,
        results_per_second=1 / every_s,
        trial_length_s=reports * every_s,
        max_runtime=3600,
        storage_path=folder,
        callbacks=[Ended()],
    )
    result = json.loads(took.read_text())
    assert result["trial_states"] == {"TERMINATED": trials}
    return result["time_taken"], memory


def ours(trials, reports, every_s, folder):
    """The same load through our driver: seconds from making the searcher to the written tables; its
    memory."""
    from pipeline.engine.cluster.connect import cluster
    from pipeline.experiment import Experiment

    experiment = Experiment(
        dataset="mnist",
        search_space="mlp",
        searcher="random",
        scheduler="none",
        trials=trials,
        max_epochs=reports,
        cpus=CPUS,
        storage=folder,
        name="run",
    )
    with cluster(experiment, []):
        import example_hyperparameters
        from example_hyperparameters import trace
        from ray import cloudpickle
        from ray.tune import with_parameters

        from pipeline.engine.cluster.capacity import FreePlaces
        from pipeline.engine.cluster.growth import Growth
        from pipeline.engine.messages import Setting
        from pipeline.engine.preparation import Prepared
        from pipeline.engine.trials.loop import run_trials
        from pipeline.engine.trials.trainable import KerasTrial, RaySession
        from pipeline.objective import Objective
        from pipeline.records.entries.reports import EpochReport
        from pipeline.records.entries.trials import TrialFacts, as_plain
        from pipeline.records.layout import Layout
        from pipeline.records.ledger import Ledger
        from pipeline.records.outputs.tables import write_tables
        from pipeline.records.retention import Retention
        from pipeline.watch import Interruption, Watcher
        from pipeline.worker.session import Checked, Stopped, TrialUpdate

        # workers do not see this folder
        cloudpickle.register_pickle_by_value(example_hyperparameters)

        class Load(KerasTrial):
            """Talks with the driver as any trial does, and sleeps where Ray's harness does, after
            each report."""

            def _train(self):
                try:
                    place = TrialFacts(node="here", devices="")
                    session = RaySession(self._commands, self._answers, place, self._turn)
                    requested = trace(self._job.configuration, "default")
                    facts = TrialFacts(
                        requested=as_plain(requested, len(requested)), fit_plan="none"
                    )
                    for epoch in range(1, reports + 1):
                        value = epoch / reports
                        metrics = {
                            "accuracy": value,
                            "loss": 1 - value,
                            "val_accuracy": value,
                            "val_loss": 1 - value,
                        }
                        report = EpochReport(epoch, value, metrics, every_s)
                        session.report(TrialUpdate(report, facts), lambda: None)
                        time.sleep(every_s)
                    session.end(None)
                except Stopped:
                    pass

        class Traced:
            """What the helper would answer; there is no model."""

            def trace(self, proposal, fill):
                return trace(proposal, fill)

            def weights(self, job):
                return 0

            def roles(self, configuration):
                return {}

            def fits(self, configuration, other):
                return False

        memory = Memory()

        class Ended(Watcher):
            def ended(self, record):
                memory.ended()

        requested = trace({}, "default")
        prepared = Prepared(
            experiment,
            Objective("val_accuracy", "max"),
            Traced(),
            Checked(requested, len(requested), 0, ()),
            data={},
            places=FreePlaces(experiment),
            first=[],
            earlier=[],
        )
        watcher, interruption = Ended(), Interruption()
        layout = Layout(Path(folder) / "run")
        layout.root.mkdir()
        start = time.monotonic()
        ledger = Ledger(layout)
        outcome = run_trials(
            prepared,
            layout,
            ledger,
            Retention(layout, prepared.objective, experiment.keep_models, None),
            Growth(experiment, layout.place, watcher, interruption),
            watcher,
            interruption,
            None,
            trainable=with_parameters(Load, setting=Setting(None, [])),
        )
        write_tables(layout, prepared.objective, ledger)
        took = time.monotonic() - start
        ended = [record for record in ledger.trials.values() if record.status == "finished"]
        assert outcome.fatal is None and not outcome.exhausted
        assert len(ended) == trials and len(ledger.reports) == trials * reports
        return took, memory


def measure(side, case):
    """In this process; one line of JSON, the last of what it prints."""
    trials, reports, every_s = CASES[case]
    with tempfile.TemporaryDirectory() as folder:
        process = psutil.Process()
        before = process.cpu_times()
        took, memory = {"ray": ray_alone, "ours": ours}[side](trials, reports, every_s, folder)
        after = process.cpu_times()
        cpu_s = after.user + after.system - before.user - before.system
        print(json.dumps({"seconds": took, "driver_cpu_s": cpu_s, "growth_kb": memory.growth_kb()}))


def apart(side, case):
    """`measure` in a process of its own."""
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "TUNE_"))
    }
    command = [sys.executable, __file__, "--side", side, "--case", case]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=600)
    if done.returncode:
        sys.exit(f"{side}, {case}, failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--n", type=int, default=3, help="runs of each side")
    arguments.add_argument("--side", choices=SIDES, help="run one side in this process")
    arguments.add_argument("--case", choices=CASES)
    given = arguments.parse_args()
    if given.side:
        measure(given.side, given.case)
        return
    rows = []
    for case, (trials, reports, every_s) in CASES.items():
        runs = {side: [] for side in SIDES}
        for _ in range(given.n):
            for side in SIDES:
                runs[side].append(apart(side, case))
        row = {"case": case, "ideal_s": trials * reports * every_s / CPUS}
        for side in SIDES:
            measured = [key for key, value in runs[side][0].items() if value is not None]
            row[side] = {
                key: round(statistics.median(run[key] for run in runs[side]), 2) for key in measured
            }
            row[side]["all_seconds"] = [round(run["seconds"], 2) for run in runs[side]]
        row["ratio"] = round(row["ours"]["seconds"] / row["ray"]["seconds"], 3)
        rows.append(row)
        print(row, flush=True)
    recording.write(
        "overhead",
        __doc__.partition("\n")[0],
        "ray",
        "psutil",
        n=given.n,
        cpus=CPUS,
        promised_ratio=PROMISED,
        promised_growth_kb=PROMISED_KB,
        rows=rows,
    )


if __name__ == "__main__":
    main()
