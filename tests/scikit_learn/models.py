"""Functions that build models, as a tutorial of scikit-learn's searches has them."""

import keras

SEED = 42


def create_model(learning_rate=0.001, dropout_rate=0.5):
    """The tutorial's, on breast cancer: seeded before each training."""
    keras.utils.set_random_seed(SEED)
    model = keras.Sequential(
        [
            keras.Input((30,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dropout(dropout_rate),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(learning_rate), "binary_crossentropy", metrics=["accuracy"])
    return model


def eager_model(learning_rate=0.1, momentum=0.0):
    """One that is trained in less time than it takes to compile."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
    optimizer = keras.optimizers.SGD(learning_rate, momentum)
    model.compile(optimizer, "categorical_crossentropy", run_eagerly=True)
    return model
