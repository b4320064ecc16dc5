import numpy as np
import pytest
from scipy import stats

from pipeline.errors import EstimatorError
from pipeline.scikit_learn.distributions import Distributions
from pipeline.space.hyperparameters import HyperParameters
from pipeline.space.specs import Choice, Float, Int


def specs(given, **settings):
    hp = HyperParameters()
    Distributions(given, **settings).ask(hp)
    return {spec.name: spec for spec in hp.space}


def test_lists_are_choices_in_their_order_and_numbers_of_numpy_are_pythons():
    found = specs({"rate": np.array([0.1, 0.01]), "units": range(2, 5), "act": ["relu", "tanh"]})

    assert found["rate"].options == (0.1, 0.01)
    assert found["units"].options == (2, 3, 4) and type(found["units"].options[0]) is int
    assert found["act"].options == ("relu", "tanh")
    assert list(found) == ["act", "rate", "units"], "as scikit-learn goes through a grid"


def test_values_that_are_no_plain_ones_of_one_type_are_called_by_names():
    def swish(x):
        return x

    values = [swish, None, "relu", (8, 4), 0.5]
    distributions = Distributions({"layer": values})
    hp = HyperParameters({"layer": "(8, 4)"})

    assert distributions.ask(hp) == {"layer": (8, 4)}
    assert hp.space[0].options == ("swish", "None", "'relu'", "(8, 4)", "0.5")
    assert [distributions.parameters({"layer": n})["layer"] for n in hp.space[0].options] == values


@pytest.mark.parametrize(
    ("distribution", "kind", "low", "high", "sampling"),
    [
        (stats.uniform(0.1, 0.4), Float, 0.1, 0.5, "linear"),
        (stats.loguniform(1e-4, 1e-1), Float, 1e-4, 1e-1, "log"),
        (stats.randint(8, 65), Int, 8, 64, "linear"),
    ],
)
def test_ranges_of_scipy_are_those_of_hp(distribution, kind, low, high, sampling):
    spec = specs({"a": distribution})["a"]

    assert type(spec) is kind and spec.sampling == sampling
    assert (spec.min_value, spec.max_value) == pytest.approx((low, high))
    assert low < spec.default < high


def test_of_another_distribution_some_values_are_drawn():
    spec = specs({"a": stats.norm(0, 1)}, draws=7, seed=3)["a"]

    assert type(spec) is Choice and len(spec.options) == 7
    drawn = stats.norm(0, 1).rvs(size=7, random_state=np.random.RandomState(3))
    assert spec.options == tuple(sorted(drawn.tolist()))


def test_several_dictionaries_are_parts_of_the_space():
    distributions = Distributions([{"kind": ["a"], "units": [1, 2]}, {"kind": ["b"]}])

    assert distributions.ask(HyperParameters({"param_grid": 1})) == {"kind": "b"}
    assert distributions.parameters({"param_grid": 0, "kind": "a", "units": 2}) == {
        "kind": "a",
        "units": 2,
    }
    assert distributions.names == {"kind", "units"} and distributions.finite


def test_a_candidate_that_failed_before_it_asked_has_the_parameters_that_are_known():
    distributions = Distributions({"units": [1, 2], "rate": stats.uniform()})

    assert distributions.parameters({"rate": 0.5}) == {"rate": 0.5}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            5,
            "param_distributions must be a dictionary of lists or distributions, or a list of such; got 5.",
        ),
        ([], "or a list of such; got []."),
        ({"a": 0.1}, "The values of 'a' must be a list or a distribution; got 0.1."),
        ({"a": "relu"}, "The values of 'a' must be a list or a distribution; got 'relu'."),
        ({"a": []}, "The values of 'a' must be at least one; got none."),
    ],
)
def test_what_is_none_of_these_is_refused(given, said):
    with pytest.raises(EstimatorError) as refused:
        Distributions(given)
    assert str(refused.value).endswith(said) and isinstance(refused.value, ValueError)
