"""Search spaces: a file here is a model family, and the file is its registration.

The contract, for a file here, a dotted path or a `.py` file elsewhere:

    build(hp, data)                    required: return a compiled `keras.Model`. `hp` is asked for
                                       every value that is to be tuned, in KerasTuner's vocabulary
                                       (`hp.Int`, `hp.Float`, `hp.Choice`, `hp.Boolean`,
                                       `hp.Fixed`); Python's own `if` and `for` make one
                                       hyperparameter depend on another. `data` is a
                                       `pipeline.data.Dataset`.
    build_model(hp)                    may stand in for `build`: KerasTuner's one-argument form, as
                                       it stands.
    fit(hp, model, *args, **kwargs)    optional: train, and return what `model.fit` returns. It must
                                       pass its arguments on to `model.fit` (epochs, validation data
                                       and callbacks are among them) and may ask `hp` too, e.g. for
                                       `batch_size`. It is KerasTuner's `HyperModel.fit`. One that
                                       trains other models may return the score and the model to be
                                       saved: `{"val_accuracy": 0.97, "model": model}`.

The first line of the module's docstring is what `--list` shows. A family that cannot serve a
dataset raises `pipeline.errors.RequestError` from `build`. Files whose name begins with an
underscore are no families. A family imports nothing of `pipeline` but `errors` and `data`.
"""
