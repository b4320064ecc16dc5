"""Datasets: a file here is a dataset, and the file is its registration.

The contract, for a file here, a dotted path or a `.py` file elsewhere:

    load(seed) or load()     required: return the arrays. `seed` decides which example goes where,
                             so that every trial of an experiment sees the same splits.

`load` may return

    a `pipeline.data.Dataset`                 three splits and what is known of them;
                                              `Dataset.split` and `Dataset.with_test` make one
    ((x_train, y_train), (x_test, y_test))    as `keras.datasets` gives it: a fifth of the training
                                              split becomes the validation split
    (x, y)                                    a fifth becomes the validation split, a fifth the test
                                              split

In the last two, arrays are taken as they are, not scaled; integers, booleans, strings and one-hot
rows as targets make a classification, other floats a regression. Lists and tables become arrays.

The module's docstring states shape, dtype, range, counts, source, licence and checksum; its first
line is what `--list` shows. Files whose name begins with an underscore are no datasets. A dataset
imports nothing of `pipeline` but `errors` and `data`.
"""
