"""Another process: makes pipelines anew, and tells what it reads of them.

Run: python child.py SENT TOLD
"""

import hashlib
import pickle
import sys
from pathlib import Path

import numpy as np


def elements(dataset):
    """Of each element all its tensors as lists, of a large one its checksum."""
    import tensorflow as tf

    return [
        [told(np.asarray(part)) for part in tf.nest.flatten(element, expand_composites=True)]
        for element in dataset
    ]


def told(array):
    return array.tolist() if array.size < 1000 else hashlib.sha256(array.tobytes()).hexdigest()


def main(sent, answer):
    pipelines = pickle.loads(Path(sent).read_bytes())
    found = {}
    for name, pipeline in pipelines.items():
        # both are there at once, as of two trainings in one worker
        one, other = pipeline(), pipeline()
        found[name] = {
            "epochs": [elements(one), elements(one)],
            "again": elements(other),
            "structure": str(one.element_spec),
        }
    Path(answer).write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
