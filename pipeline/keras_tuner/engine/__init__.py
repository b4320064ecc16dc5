"""KerasTuner's import paths: `kt.engine.tuner.Tuner` and the like, of what stands beside."""

from pipeline.keras_tuner.engine import (
    base_tuner as base_tuner,
)
from pipeline.keras_tuner.engine import (
    hypermodel as hypermodel,
)
from pipeline.keras_tuner.engine import (
    hyperparameters as hyperparameters,
)
from pipeline.keras_tuner.engine import (
    metrics_tracking as metrics_tracking,
)
from pipeline.keras_tuner.engine import (
    objective as objective,
)
from pipeline.keras_tuner.engine import (
    oracle as oracle,
)
from pipeline.keras_tuner.engine import (
    trial as trial,
)
from pipeline.keras_tuner.engine import (
    tuner as tuner,
)
