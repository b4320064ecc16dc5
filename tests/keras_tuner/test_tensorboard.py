"""What TensorBoard is told of a trial: curves in a folder of its own, and its values for HParams."""

import keras
import numpy as np
from keras_tuner.src.engine.tuner_utils import convert_hyperparams_to_hparams
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams import api, plugin_data_pb2

from pipeline.keras_tuner.tensorboard import with_hparams
from pipeline.space.hyperparameters import HyperParameters


def asked(hp):
    return {
        "units": hp.Int("units", 2, 8),
        "step": hp.Int("step", 2, 8, step=2),
        "width": hp.Int("width", 2, 64, sampling="log"),
        "rate": hp.Float("rate", 1e-3, 1e-1, sampling="log"),
        "coarse": hp.Float("coarse", 0.0, 1.0, step=0.5),
        "optimizer": hp.Choice("optimizer", ["adam", "sgd"]),
        "residual": hp.Boolean("residual"),
        "fixed": hp.Fixed("fixed", 3),
    }


def test_a_real_callback_writes_curves_and_values_where_hparams_reads_them(tmp_path):
    hp = HyperParameters({"units": 5, "optimizer": "sgd"})
    values = asked(hp)
    given = keras.callbacks.TensorBoard(tmp_path, write_graph=False)
    callbacks = with_hparams([given], hp, "t0003", 1)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(np.zeros((8, 3)), np.zeros(8), callbacks=callbacks, verbose=0)

    folder = tmp_path / "t0003" / "execution1"
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload()
    run = str(folder.relative_to(tmp_path))
    assert f"{run}/train" in multiplexer.Runs()
    content = multiplexer.GetAccumulator(run).PluginTagToContent("hparams")
    told = plugin_data_pb2.HParamsPluginData.FromString(content["_hparams_/session_start_info"])
    found = told.session_start_info.hparams.items()
    assert {name: getattr(value, value.WhichOneof("kind")) for name, value in found} == values


def test_domains_are_kerastuners(tmp_path):
    import keras_tuner

    ours, theirs = HyperParameters(), keras_tuner.HyperParameters()
    asked(ours), asked(theirs)
    (told,) = with_hparams([keras.callbacks.TensorBoard(tmp_path)], ours, "t", 0)[1:]
    expected = convert_hyperparams_to_hparams(theirs, api)
    domains = {h.name: repr(h.domain) for h in expected}
    assert {h.name: repr(h.domain) for h in told._hparams} == domains


def test_a_fine_step_is_shown_as_an_interval(tmp_path):
    hp = HyperParameters()
    hp.Float("fine", 0.0, 1.0, step=1e-7)
    (told,) = with_hparams([keras.callbacks.TensorBoard(tmp_path)], hp, "t", 0)[1:]
    (hparam,) = told._hparams
    assert repr(hparam.domain) == repr(api.RealInterval(0.0, 1.0))


def test_the_check_before_a_search_writes_nothing(tmp_path):
    hp = HyperParameters()
    asked(hp)
    given = [keras.callbacks.TensorBoard(tmp_path)]
    assert with_hparams(given, hp, "", 0) == given
    assert given[0].log_dir == str(tmp_path) and not list(tmp_path.iterdir())
