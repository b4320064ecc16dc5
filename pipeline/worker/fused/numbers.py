"""The numbers that models of one group may differ by.

Each stands in the group's program as an input: see `backends/together/number`. What Keras does with
it was read in its source (3.15), and each line below is tested against a training alone.
"""

import keras

layers, optimizers, regularizers = keras.layers, keras.optimizers, keras.regularizers
schedules = keras.optimizers.schedules

_OF_ADAM = ("beta_1", "beta_2", "epsilon")
_OF_EVERY_OPTIMIZER = ("weight_decay", "clipnorm", "global_clipnorm", "ema_momentum")

# Of each class the settings that may differ. What is not named must be equal.
MAY_DIFFER: dict[type, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            layers.Dropout,
            layers.SpatialDropout1D,
            layers.SpatialDropout2D,
            layers.SpatialDropout3D,
        ),
        ("rate",),
    ),
    layers.GaussianNoise: ("stddev",),
    layers.BatchNormalization: ("momentum",),
    layers.Rescaling: ("scale", "offset"),
    regularizers.L1: ("l1",),
    regularizers.L2: ("l2",),
    regularizers.L1L2: ("l1", "l2"),
    **{
        optimizer: (*_OF_EVERY_OPTIMIZER, *own)
        for optimizer, own in {
            optimizers.SGD: ("momentum",),
            optimizers.RMSprop: ("rho", "momentum", "epsilon"),
            optimizers.Adagrad: ("epsilon",),
            optimizers.Adadelta: ("rho", "epsilon"),
            optimizers.Adam: _OF_ADAM,
            optimizers.AdamW: _OF_ADAM,
            optimizers.Adamax: _OF_ADAM,
            optimizers.Nadam: _OF_ADAM,
            optimizers.Lamb: _OF_ADAM,
            optimizers.Lion: ("beta_1", "beta_2"),
        }.items()
    },
    schedules.ExponentialDecay: ("initial_learning_rate", "decay_rate"),
    schedules.InverseTimeDecay: ("initial_learning_rate", "decay_rate"),
    schedules.PolynomialDecay: ("initial_learning_rate", "end_learning_rate", "power"),
    schedules.CosineDecay: ("initial_learning_rate", "alpha"),
    schedules.CosineDecayRestarts: ("initial_learning_rate", "alpha"),
}
