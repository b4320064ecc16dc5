"""What the tests of saved models share."""

import pytest

from pipeline.worker.spaces.loading import load_dataset
from tests.data.tables.conftest import penguins as penguins


@pytest.fixture(scope="session")
def digits():
    """The digits, as a search has them."""
    from pipeline.names import resolve

    return load_dataset(resolve("dataset", "digits"), seed=0)
