"""What the tests of pipelines share."""

import pytest
import tensorflow as tf


@pytest.fixture(autouse=True, scope="module")
def no_seed():
    """A seed that another test set would be in all that is random.

    It is of a module, to come before the pipelines that the module's tests share.
    """
    tf.random.set_seed(None)
