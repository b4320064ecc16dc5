"""Diabetes: 442 patients, 10 measurements each, and the disease's progress in a year; regression.

Shape:    (10,) float32, inputs and target scaled by the training split to mean 0 and standard
          deviation 1, unbounded. An mse of 1.0 is what always predicting the training split's mean
          gives; 0.5 explains half of the variance. Multiply an mse by the square of
          `standardisation["target_std"]` (some 77 points) for the original's units
Counts:   266 train, 88 validation, 88 test, cut by the seed
Source:   B. Efron, T. Hastie, I. Johnstone and R. Tibshirani, "Least Angle Regression",
          Annals of Statistics 32, 2004, https://www4.stat.ncsu.edu/~boos/var.select/diabetes.html,
          as bundled with scikit-learn (`load_diabetes`)
Licence:  none stated by its authors; bundled by scikit-learn (BSD-3-Clause)
Checksum: none of our own; the file comes with the installed scikit-learn
"""

from sklearn.datasets import load_diabetes

from pipeline.data import Dataset


def load(seed: int) -> Dataset:
    """Return the patients, split by `seed`, inputs and target standardised."""
    bundled = load_diabetes(scaled=False)
    return Dataset.split(
        "diabetes",
        bundled.data,
        bundled.target,
        seed,
        source="B. Efron, T. Hastie, I. Johnstone, R. Tibshirani: "
        "https://www4.stat.ncsu.edu/~boos/var.select/diabetes.html",
        licence="none stated; bundled by scikit-learn (BSD-3-Clause)",
        standardise=True,
        standardise_target=True,
    )
