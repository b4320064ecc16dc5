"""What the tests of pipelines share."""

import pytest
import tensorflow as tf


@pytest.fixture(autouse=True)
def no_seed():
    """A seed that another test set would be in all that is random."""
    tf.random.set_seed(None)
