"""The garbage collector rests while many modules are imported, and is then as it was."""

import gc

import pytest

from pipeline.engine.imports import uncollected


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_rests_inside_and_is_as_it_was_afterwards(enabled):
    was = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(ImportError), uncollected():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if was else gc.disable)()
