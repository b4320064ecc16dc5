"""What a table becomes, held against pandas and scikit-learn."""

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pipeline import table

NUMBERS = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "year"]
CATEGORIES = ["island", "sex"]


def test_the_inputs_are_those_of_a_column_transformer(penguins):
    # the dataset says which rows train: each penguin has a number of its own
    numbered = penguins.assign(number=np.arange(len(penguins)) * 1.5)
    data = table(numbered, target="species")(seed=0)
    rows = (data.values["number"].array / 1.5).round().astype(int)
    train, val = rows[: len(data.y_train)], rows[len(data.y_train) :]
    by_hand = ColumnTransformer(
        [
            ("numbers", make_pipeline(StandardScaler(), SimpleImputer()), NUMBERS),
            ("holes", SimpleImputer(add_indicator=True, keep_empty_features=True), NUMBERS),
            (
                "categories",
                make_pipeline(
                    SimpleImputer(strategy="constant", fill_value="missing"),
                    OneHotEncoder(sparse_output=False),
                ),
                CATEGORIES,
            ),
        ]
    ).fit(penguins.iloc[train])
    expected = by_hand.transform(penguins.iloc[val])
    ours = pd.DataFrame(data.x_val)

    # each column of theirs is one of ours, but for those filled by the second imputer
    kept = [i for i in range(expected.shape[1]) if not len(NUMBERS) <= i < 2 * len(NUMBERS)]
    for column in kept:
        distance = abs(ours.to_numpy() - expected[:, [column]]).max(axis=0)
        assert distance.min() < 1e-5, by_hand.get_feature_names_out()[column]
    assert data.x_val.shape[1] == len(kept) + 1  # and the penguin's own number
