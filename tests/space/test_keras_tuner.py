"""`hp` held against KerasTuner's own: one corpus through both, with the same values forced on both.

The last line of this file's run says how many behaviours are identical; `differences.py` lists what
differs, and why.
"""

from typing import Any

import numpy as np
import pytest
from keras_tuner.oracles import RandomSearchOracle

from pipeline.space.hyperparameters import HyperParameters
from tests.space.behaviours import BEHAVIOURS, Behaviour
from tests.space.differences import DIFFERENCES, Difference
from tests.space.hypermodels import HYPERMODELS, Hypermodel
from tests.space.kits import Heard, KerasTuner, Kerasweep, Kit, outcome

THEIRS = KerasTuner()
SEEDS = range(5)


def driven(kit: Kit, behaviour: Behaviour, values: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a behaviour comes to: what it returns or raises, what is active, what `space` lists."""
    hp = kit.hp(values)
    result = outcome(lambda: behaviour.drive(kit, hp) if behaviour.of_hp else behaviour.drive(kit))
    active = outcome(lambda: kit.active(hp))
    return {"result": result, "active": active, "space": [spec.name for spec in hp.space]}


def answered(
    kit: Kit, hypermodel: Hypermodel, values: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The same of a whole hypermodel, with every answer that its `hp` gave."""
    hp = kit.hp(values)
    heard = Heard(hp)
    result = outcome(lambda: hypermodel.build_and_fit(heard))
    assert (result[0] == "raised") <= hypermodel.may_fail, result
    answers = outcome(lambda: heard.answers)
    return {
        "result": result,
        "answers": answers,
        "active": outcome(lambda: kit.active(hp)),
        "values": hp.values.keys(),
    }


def forced(drive: Any, subject: Any, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Draw whatever is asked for: what came of it, and the values drawn."""
    rng = np.random.default_rng(seed)
    drawn: dict[str, Any] = {}

    def draw(spec: Any) -> Any:
        return drawn.setdefault(spec.name, spec.random(rng))

    return drive(Kerasweep(draw=draw), subject), drawn


def test_it_is_the_version_that_is_meant() -> None:
    assert THEIRS.version == "1.4.8"


IDENTICAL = [
    *(
        pytest.param(driven, b, SEEDS if b.forced else (), id=b.name.replace("_", " "))
        for b in BEHAVIOURS
    ),
    *(
        pytest.param(
            answered, h, h.seeds, id=f"hypermodel: {h.name}", marks=[pytest.mark.slow] * h.slow
        )
        for h in HYPERMODELS
    ),
]


@pytest.mark.parametrize(("drive", "subject", "seeds"), IDENTICAL)
def test_a_behaviour_is_keras_tuners(drive: Any, subject: Any, seeds: Any) -> None:
    assert drive(Kerasweep(), subject) == drive(THEIRS, subject)
    for seed in seeds:
        ours, values = forced(drive, subject, seed)
        theirs = drive(THEIRS, subject, values)

        assert ours == theirs, values
        assert drive(Kerasweep(values), subject) == theirs, values
        assert drive(Kerasweep(), subject, values) == theirs, values


def test_names_of_behaviours_are_their_own() -> None:
    names = [subject.name for subject in (*BEHAVIOURS, *HYPERMODELS)]

    assert len(set(names)) == len(names)


def test_there_are_twenty_hypermodels_and_the_four_that_are_ready() -> None:
    ready = {h.name for h in HYPERMODELS if h.name.startswith("Hyper")}

    assert ready >= {"HyperResNet", "HyperXception", "HyperEfficientNet", "HyperImageAugment"}
    assert len(HYPERMODELS) - len(ready) >= 20


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda d: d.name)
def test_a_difference_really_is_one(difference: Difference) -> None:
    ours, theirs = (outcome(lambda kit=kit: difference.drive(kit)) for kit in (Kerasweep(), THEIRS))

    assert ours != theirs
    assert difference.reason


# Plain data goes to and fro.


def several(hp: Any) -> None:
    hp.Choice("kind", ["a", "b"], default="b")
    hp.Int("n", 1, 64, step=2, sampling="log", parent_name="kind", parent_values="b")
    hp.Float("x", 0.1, 1, default=0.7)
    hp.Boolean("flip", default=True)
    hp.Fixed("f", 3)


def test_keras_tuner_reads_our_config() -> None:
    ours = HyperParameters({"n": 16})
    several(ours)
    read = type(THEIRS.hp()).from_config(ours.get_config())

    assert read.values == ours.values == {"kind": "b", "n": 16, "x": 0.7, "flip": True, "f": 3}
    several(read)
    assert len(read.space) == 5  # what it read is what is asked for


def test_we_read_keras_tuners_config() -> None:
    theirs = THEIRS.hp({"n": 16})
    several(theirs)
    read = HyperParameters.from_config(theirs.get_config())
    several(read)

    assert read.values == theirs.values
    assert [str(spec) for spec in read.space][
        1
    ] == "Int(min_value=1, max_value=64, step=2, sampling='log')"
    assert len(read.space) == 5
    assert {spec.name: value for spec, value in read.requested} == theirs.values


# What the user gives beforehand: KerasTuner's `hyperparameters`, `tune_new_entries`,
# `allow_new_entries`.


def mlp(hp: Any) -> list[Any]:
    widths = [hp.Int(f"units_{i}", 8, 64, step=8) for i in range(hp.Int("layers", 1, 3))]
    return [
        *widths,
        hp.Float("learning_rate", 1e-4, 1e-1, sampling="log"),
        hp.Boolean("dropout", default=True),
    ]


def given(hp: Any) -> None:
    hp.Int("layers", 2, 3)
    hp.Fixed("learning_rate", 0.01)
    hp.Float("never_asked", 0, 1)


@pytest.mark.filterwarnings(
    "ignore:(currentThread|getName):DeprecationWarning"
)  # KerasTuner 1.4.8 names its threads by it
@pytest.mark.parametrize("tune_new", [True, False])
def test_what_is_given_restricts_a_space_as_keras_tuner_does(tune_new: bool, tmp_path: Any) -> None:
    space = THEIRS.hp()
    given(space)
    oracle = RandomSearchOracle("loss", 9, seed=3, hyperparameters=space, tune_new_entries=tune_new)
    oracle._set_project_dir(str(tmp_path), "p")
    first = oracle.get_space()
    mlp(first)
    oracle.update_space(first)
    own = HyperParameters()
    given(own)
    for number in range(6):
        theirs = oracle.create_trial(str(number)).hyperparameters
        ours = HyperParameters(theirs.values)
        ours.restrict(own.space, own.values, tune_new=tune_new)

        assert mlp(ours) == mlp(theirs)
        assert "never_asked" in theirs.values
        assert ours.values == {spec.name: theirs.values[spec.name] for spec, _ in ours.requested}
        varied = {spec.name for spec, _ in ours.requested if spec.kind != "fixed"}
        assert varied == ({"layers"} if not tune_new else set(ours.values) - {"learning_rate"})


def test_new_ones_are_refused_as_keras_tuner_does() -> None:
    space, own = THEIRS.hp(), HyperParameters()
    given(space)
    given(own)
    oracle = RandomSearchOracle("loss", 9, hyperparameters=space, allow_new_entries=False)

    def theirs() -> None:
        hp = oracle.get_space()
        mlp(hp)
        oracle.update_space(hp)

    def ours() -> None:
        hp = HyperParameters()
        hp.restrict(own.space, allow_new=False)
        mlp(hp)

    assert outcome(theirs) == outcome(ours) == ("raised", ["RuntimeError"])


@pytest.mark.parametrize(
    "subject", [b for b in BEHAVIOURS if b.name.startswith("refused:")], ids=lambda b: b.name
)
def test_what_the_corpus_calls_refused_is_refused(subject: Behaviour) -> None:
    assert outcome(lambda: subject.drive(THEIRS))[0] == "raised"
