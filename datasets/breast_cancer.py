"""Breast cancer (Wisconsin, diagnostic): 569 tumours, 30 measurements each, malignant or benign.

Shape:    (30,) float32, each feature scaled by the training split to mean 0 and standard
          deviation 1, unbounded; labels are 0 (malignant, 37 %) and 1 (benign, 63 %)
Counts:   341 train, 114 validation, 114 test, cut by the seed;
          one test example is 0.9 % of accuracy
Source:   W. Wolberg, O. Mangasarian, N. Street and W. Street, "Breast Cancer Wisconsin
          (Diagnostic)", UCI Machine Learning Repository, https://doi.org/10.24432/C5DW2B, as
          bundled with scikit-learn (`load_breast_cancer`)
Licence:  CC BY 4.0
Checksum: none of our own; the file comes with the installed scikit-learn
"""

from sklearn.datasets import load_breast_cancer

from pipeline.data import Dataset


def load(seed: int) -> Dataset:
    """Return the tumours, split by `seed`, inputs standardised."""
    bundled = load_breast_cancer()
    return Dataset.split(
        "breast_cancer",
        bundled.data,
        bundled.target,
        seed,
        source="W. Wolberg, O. Mangasarian, N. Street, W. Street: https://doi.org/10.24432/C5DW2B",
        licence="CC BY 4.0",
        standardise=True,
    )
