"""MNIST: 70,000 grey images of handwritten digits, 28 by 28 pixels.

Shape:    (28, 28, 1) float32 in [0, 1] (the original's bytes / 255); labels are integers 0..9
Counts:   50,000 train, 10,000 validation (cut from the original's 60,000 by the seed),
          10,000 test (the original's)
Source:   Yann LeCun, Corinna Cortes and Christopher J. C. Burges, http://yann.lecun.com/exdb/mnist/
Licence:  CC BY-SA 3.0
Checksum: sha256 06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64
          of data/mnist.npz, embedded here
"""

import hashlib
import io
from pathlib import Path

import numpy as np

from pipeline.data import Dataset
from pipeline.errors import RequestError

FILE = Path(__file__).parent / "data" / "mnist.npz"
SHA256 = "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64"


def load(seed: int) -> Dataset:
    """Return MNIST, its validation split cut from the training split by `seed`.

    Raises:
        RequestError: the embedded file is missing or not the one that was published.
    """
    with np.load(io.BytesIO(_checked_bytes())) as arrays:
        images = {k: arrays[k][..., None] / np.float32(255) for k in ("x_train", "x_test")}
        labels = {k: arrays[k] for k in ("y_train", "y_test")}
    return Dataset.with_test(
        "mnist",
        (images["x_train"], labels["y_train"]),
        (images["x_test"], labels["y_test"]),
        seed,
        val=10_000,
        source="Y. LeCun, C. Cortes, C. Burges: http://yann.lecun.com/exdb/mnist/",
        licence="CC BY-SA 3.0",
    )


def _checked_bytes() -> bytes:
    remedy = (
        "Restore it with: git checkout -- datasets/data/mnist.npz; where kerasweep was installed, "
        "install it anew."
    )
    try:
        content = FILE.read_bytes()
    except OSError as error:
        raise RequestError(
            f"MNIST must be at {FILE} with sha256 {SHA256}, got no readable file "
            f"({error.strerror}). {remedy}"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise RequestError(f"{FILE} is damaged: its sha256 must be {SHA256}, got {found}. {remedy}")
    return content
