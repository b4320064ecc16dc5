"""What somebody writes without any tool: import Keras, build one model, train one epoch, say how
good it is.

Run: python benchmarks/peers/bare_script.py --dataset mnist

The model is the search space's at its defaults. Both files are imported as any others, and not by
our loader, which would import more.
"""

import importlib
import sys
from inspect import signature
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import subject

from pipeline.names import find
from pipeline.space.hyperparameters import HyperParameters


def imported(kind, name):
    """The module, and the function that was meant."""
    target = find(kind, name)
    file = Path(target.file)
    root = subject.ROOT if subject.ROOT in file.parents else file.parent
    sys.path.insert(0, str(root))
    module = importlib.import_module(".".join(file.relative_to(root).with_suffix("").parts))
    return module, getattr(module, target.function)


asked = subject.options(__doc__).parse_args()
_, load = imported("dataset", asked.dataset)
data = load(asked.seed) if signature(load).parameters else load()
space, build = imported("search space", asked.search_space)
hp = HyperParameters()
model = build(hp, data) if len(signature(build).parameters) > 1 else build(hp)
train = getattr(space, "fit", lambda hp, model, *args, **kwargs: model.fit(*args, **kwargs))
history = train(
    hp,
    model,
    data.x_train,
    data.y_train,
    validation_data=(data.x_val, data.y_val),
    epochs=1,
    verbose=0,
)
print(history.history["val_accuracy"][0])
