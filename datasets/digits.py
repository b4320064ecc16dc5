"""Digits: 1,797 grey images of handwritten digits, 8 by 8 pixels; a search takes seconds.

Shape:    (8, 8, 1) float32 in [0, 1] (the original's 0..16 divided by 16); labels are integers 0..9
Counts:   1,079 train, 359 validation, 359 test, cut by the seed
Source:   E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
          Learning Repository, https://doi.org/10.24432/C50P49: its test set, as bundled with
          scikit-learn (`load_digits`)
Licence:  CC BY 4.0
Checksum: none of our own; the file comes with the installed scikit-learn
"""

import numpy as np
from sklearn.datasets import load_digits

from pipeline.data import Dataset


def load(seed: int) -> Dataset:
    """Return the digits, split by `seed`."""
    bundled = load_digits()
    return Dataset.split(
        "digits",
        (bundled.images[..., None] / 16).astype(np.float32),
        bundled.target,
        seed,
        source="E. Alpaydin, C. Kaynak: https://doi.org/10.24432/C50P49",
        licence="CC BY 4.0",
    )
