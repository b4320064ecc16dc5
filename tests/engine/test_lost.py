"""Workers that are lost: what is said of it, and what is not held against a trial."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.engine.lost import reason_of

ROOT = Path(__file__).parents[2]


def test_the_reason_is_one_line_and_names_memory_and_limit_where_ray_ended_the_worker():
    text = (
        "The actor died unexpectedly before finishing this task.\n\tThe worker died due to memory pressure. "
        "Memory on the node (IP: 10.0.0.1, ID: ab12) was 22.91GB used / 24.00GB limit (0.954861), which exceeds the "
        "threshold.\nSee the docs."
    )
    assert reason_of(Exception(text)) == "out of memory: with 22.91GB of 24.00GB in use Ray ended the worker"
    assert reason_of(Exception("The actor died because its node has died. Node Id: ab")) == "its node was lost"
    assert reason_of(Exception("first\n  SIGKILL by kernel OOM\n")) == "worker lost: SIGKILL by kernel OOM"
    assert reason_of(Exception("")) == "worker lost: its worker died"


LOSES_NODES = """
import os, sys, threading, time
from pathlib import Path
from pipeline.engine.cluster import ENVIRONMENT
os.environ.update(ENVIRONMENT)
import ray
from ray.cluster_utils import Cluster
if __name__ == "__main__":
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1)]

    def lose():
        for number in range(4):  # one more than a trial's worker may be lost
            while not Path(f"here-{number}").exists():
                time.sleep(0.1)
            nodes.append(cluster.add_node(num_cpus=1))
            cluster.remove_node(nodes[number], allow_graceful=False)
        Path("enough").touch()

    threading.Thread(target=lose, daemon=True).start()
    from pipeline import Experiment, tune
    run = tune(Experiment(dataset="digits", search_space=sys.argv[1], address=cluster.address, trials=1, max_epochs=2,
                          storage="runs", scheduler="none"))
    print(run.directory)
    cluster.shutdown()
"""

STAYS = """
import os, threading, time
import keras

def build(hp, data):
    hp.Int("units", 4, 8)
    model = keras.Sequential([keras.Input(data.shape), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

def fit(hp, model, *args, callbacks, **kwargs):
    def stay(epoch, logs=None):
        place = HERE
        number = len([name for name in os.listdir(place) if name.startswith("here-")])
        trial = threading.current_thread().name.startswith("trial-")  # and not the check before them
        if trial and epoch == 0 and not os.path.exists(place + "/enough"):
            open(f"{place}/here-{number}", "w").close()
            while not os.path.exists(place + "/enough"):
                time.sleep(0.1)
    return model.fit(*args, callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=stay), *callbacks], **kwargs)
"""


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_loss_of_nodes_is_not_counted_against_a_trial(tmp_path):
    (tmp_path / "loses_nodes.py").write_text(LOSES_NODES)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "stays.py").write_text(STAYS.replace("HERE", repr(str(tmp_path))))
    done = subprocess.run(
        [sys.executable, str(tmp_path / "loses_nodes.py"), str(tmp_path / "mine" / "stays.py")],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=380,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "here-3").exists()
    run = Path(done.stdout.splitlines()[-1])
    assert json.loads((run / "summary.json").read_text())["trials"]["finished"] == 1
    epochs = [json.loads(line)["epoch"] for line in (run / "history.jsonl").read_text().splitlines()]
    assert epochs == [1, 2]
