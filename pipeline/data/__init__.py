"""Datasets, the arrays they hold, and what `fit` is given of them."""

from pipeline.data.dataset import Dataset as Dataset
