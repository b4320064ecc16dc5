"""Kerasweep: hyperparameter sweeps for Keras, on Ray.

`from pipeline import Experiment, tune` is the whole public interface; both are loaded when first
asked for, so that importing the package costs neither Ray nor Keras.
"""

import logging
import sys
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from typing import TYPE_CHECKING, Any

from pipeline.version import __version__ as __version__

if TYPE_CHECKING:
    from pipeline.data.dataset import Dataset
    from pipeline.engine.tuning import tune
    from pipeline.experiment import Experiment

# Silent, unless the caller gives it a handler: see `pipeline.logs`.
logging.getLogger("kerasweep").addHandler(logging.NullHandler())

__all__ = ["Dataset", "Experiment", "tune"]


def __getattr__(name: str) -> Any:
    if name == "Experiment":
        from pipeline.experiment import Experiment

        return Experiment
    if name == "Dataset":
        from pipeline.data.dataset import Dataset

        return Dataset
    if name == "tune":
        from pipeline.engine.tuning import tune

        return tune
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")


class _Beside:
    """Finds `pipeline.datasets` and `pipeline.search_spaces` beside this package, in a checkout.

    Where the package was installed they lie in it, and Python finds them before it asks here.
    """

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name.startswith("pipeline."):
            from pipeline.names import FOLDERS, folder_of

            for component, called in FOLDERS.items():
                if name == f"pipeline.{called}":
                    return spec_from_file_location(name, folder_of(component) / "__init__.py")
        return None


sys.meta_path.append(_Beside)
