"""Kerasweep: hyperparameter sweeps for Keras, on Ray.

What is public is loaded when it is first asked for, so that importing the package costs neither Ray
nor Keras.
"""

import logging
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from typing import TYPE_CHECKING, Any

from pipeline.version import __version__ as __version__

if TYPE_CHECKING:
    from pipeline.data.dataset import Dataset
    from pipeline.data.pictures.pictures import images
    from pipeline.data.tables.table import table
    from pipeline.engine.run import open_run
    from pipeline.engine.tuning import tune
    from pipeline.experiment import Experiment
    from pipeline.scikit_learn.search_cv import KerasweepSearchCV
    from pipeline.worker.present import trial
    from pipeline.worker.serving.served import load_model

# Silent, unless the caller gives it a handler: see `pipeline.logs`.
logging.getLogger("kerasweep").addHandler(logging.NullHandler())

# Each public name, and the module that it is from.
_PUBLIC = {
    "Dataset": "pipeline.data.dataset",
    "Experiment": "pipeline.experiment",
    "KerasweepSearchCV": "pipeline.scikit_learn.search_cv",
    "images": "pipeline.data.pictures.pictures",
    "load_model": "pipeline.worker.serving.served",
    "open_run": "pipeline.engine.run",
    "table": "pipeline.data.tables.table",
    "trial": "pipeline.worker.present",
    "tune": "pipeline.engine.tuning",
}
__all__ = [
    "Dataset",
    "Experiment",
    "KerasweepSearchCV",
    "images",
    "load_model",
    "open_run",
    "table",
    "trial",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
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
