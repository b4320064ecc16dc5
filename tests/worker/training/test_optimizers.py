"""A model that trains in its own way: without a `call`, with optimizers that `compile` is given."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.data.fit_data import FitData
from pipeline.errors import RequestError
from pipeline.objective import Objective
from pipeline.worker.spaces.reveal import check_default
from pipeline.worker.spaces.roles import roles
from pipeline.worker.training.evaluate import trained
from tests.worker.stage import assert_same, interrupted, job, run, space

NOISE, SIZE = 2, 6
DATA = FitData.of("d", np.random.default_rng(0).random((64, SIZE)).astype("float32"))
LOSS = Objective("g_loss", "min")


class Adversaries(keras.Model):
    """A generator and its critic, neither of them called with what `fit` is given."""

    def __init__(self, units=4, *, whole=True):
        super().__init__()
        begin = [keras.Input((NOISE,))] if whole else []
        self.generator = keras.Sequential([*begin, keras.layers.Dense(SIZE)])
        self.critic = keras.Sequential(
            [keras.Input((SIZE,)), keras.layers.Dense(units, "relu"), keras.layers.Dense(1)]
        )

    def compile(self, critics, generators):
        super().compile(run_eagerly=True)
        self.critics, self.generators = critics, generators

    def train_step(self, real):
        noise = real[:, :NOISE]  # no chance in it: what is compared is how training goes on
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        one, zero = tf.ones((len(real), 1)), tf.zeros((len(real), 1))
        with tf.GradientTape() as tape:
            d_loss = loss(one, self.critic(real)) + loss(zero, self.critic(self.generator(noise)))
        trained = self.critic.trainable_weights
        self.critics.apply(tape.gradient(d_loss, trained), trained)
        with tf.GradientTape() as tape:
            g_loss = loss(one, self.critic(self.generator(noise)))
        trained = self.generator.trainable_weights
        self.generators.apply(tape.gradient(g_loss, trained), trained)
        return {"d_loss": d_loss, "g_loss": g_loss}


class Called(Adversaries):
    """As many write it; it is the generator's, and takes noise."""

    def call(self, noise):
        return self.generator(noise)


def adversaries(kind=Adversaries, **settings):
    def build(hp, data):
        model = kind(hp.Int("units", 4, 8), **settings)
        rate = hp.Float("rate", 0.01, 0.1)
        model.compile(keras.optimizers.Adam(rate), keras.optimizers.Adam(rate))
        return model

    return space(build)


@pytest.mark.parametrize("kind", [Adversaries, Called])
def test_what_cannot_be_called_with_the_inputs_is_checked_and_followed(kind):
    checked = check_default(adversaries(kind), DATA, LOSS)
    assert checked.weights == 3 * SIZE + (SIZE + 1) * 4 + 5
    assert roles(adversaries(kind), DATA, {"units": 4, "rate": 0.1}) == {
        "units": "model",
        "rate": "algorithm",
    }


def test_each_optimizer_goes_on_from_what_it_knew(tmp_path):
    settings = {"configuration": {"units": 4, "rate": 0.05}, "max_epochs": 3, "objective": LOSS}
    task, again = (job(tmp_path / name, **settings) for name in ("one", "other"))
    undisturbed, ending = run(task, adversaries(), DATA)
    assert ending.failure is None and len(undisturbed.epochs) == 3
    assert_same(interrupted(again, adversaries(), DATA), undisturbed.epochs)

    models = [trained(each, adversaries(), DATA)[0] for each in (task, again)]
    for one, other in zip(*(model.weights for model in models), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Keras's, before it raises
def test_one_whose_weights_come_with_training_alone_is_refused_with_what_is_needed():
    with pytest.raises(RequestError) as refused:
        check_default(adversaries(whole=False), DATA, LOSS)
    assert str(refused.value) == (
        "A model with a train_step of its own must have its weights before it is trained: begin "
        "each of its parts with a keras.Input, or give it a call that takes the inputs; "
        "Adversaries's call raised NotImplementedError."
    )
