"""What somebody writes without any tool: import Keras, build one model, train one epoch, say how good it is.

Run: python benchmarks/peers/bare_script.py --dataset mnist
The model is the search space's at its defaults. Both files are imported as any others, and not by our loader, which
would import more.
"""

import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import subject

from pipeline.names import find
from pipeline.space.hyperparameters import HyperParameters


def module(kind, name):
    file = Path(find(kind, name).file)
    root = subject.ROOT if subject.ROOT in file.parents else file.parent
    sys.path.insert(0, str(root))
    return importlib.import_module(".".join(file.relative_to(root).with_suffix("").parts))


asked = subject.options(__doc__).parse_args()
data, space = module("dataset", asked.dataset).load(asked.seed), module("search space", asked.search_space)
hp = HyperParameters()
model = space.build(hp, data)
train = getattr(space, "fit", lambda hp, model, *args, **kwargs: model.fit(*args, **kwargs))
history = train(hp, model, data.x_train, data.y_train, validation_data=(data.x_val, data.y_val), epochs=1, verbose=0)
print(history.history["val_accuracy"][0])
