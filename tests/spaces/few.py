"""160 of the digits: an epoch is three steps."""

from sklearn.datasets import load_digits


def load():
    x, y = load_digits(return_X_y=True)
    return (x[:160, :, None] / 16).astype("float32"), y[:160]
