"""A grid as tutorials write it by hand: a loop over learning rates in which one over dropout rates
is, a model and ten epochs each, and the best of them measured.

Run: python benchmarks/peers/double_loop.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from small_grid_space import DROPOUT_RATES, LEARNING_RATES, create_model

x, y = load_breast_cancer(return_X_y=True)
x, x_test, y, y_test = train_test_split(x, y, test_size=0.2, random_state=0)
x_train, x_val, y_train, y_val = train_test_split(x, y, test_size=0.25, random_state=0)
scaler = StandardScaler().fit(x_train)
best, found = None, -1.0
for learning_rate in LEARNING_RATES:
    for dropout_rate in DROPOUT_RATES:
        model = create_model(x.shape[1], learning_rate, dropout_rate)
        history = model.fit(
            scaler.transform(x_train),
            y_train,
            validation_data=(scaler.transform(x_val), y_val),
            epochs=10,
            verbose=0,
        )
        accuracy = max(history.history["val_accuracy"])
        if accuracy > found:
            best, found = model, accuracy
_, accuracy = best.evaluate(scaler.transform(x_test), y_test, verbose=0)
best.save(Path(sys.argv[1]) / "model.keras")
print(f'{{"val_accuracy": {found:.4f}, "test_accuracy": {accuracy:.4f}}}')
