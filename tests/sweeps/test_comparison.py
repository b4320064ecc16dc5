"""Better, worse, or the same within noise."""

import json
import math

import numpy as np
import pytest

from pipeline.sweeps.comparison import Value, compare, noise, table, write_comparison


def share(value, examples=400):
    return Value("test accuracy", "max", value, examples)


@pytest.fixture
def compared(sweep, sat):
    """The one row of a sitting after others."""

    def row(*values, asked=None, **settings):
        asked = asked or sweep()
        sittings = [sat(asked, value, test=value, **settings) for value in values]
        (found,) = compare(sittings[-1], sittings[:-1])
        return found

    return row


def test_the_first_sitting_has_nothing_to_be_compared_with(compared):
    row = compared(0.9)
    assert row.verdict == "new" and row.before is None and row.now == share(0.9)


@pytest.mark.parametrize(
    ("now", "verdict"), [(0.93, "same"), (0.88, "same"), (0.96, "better"), (0.84, "worse")]
)
def test_a_share_is_compared_within_its_binomial_noise(compared, now, verdict):
    row = compared(0.9, now)
    assert row.verdict == verdict and row.before == share(0.9)
    assert row.noise == pytest.approx(
        1.96 * math.sqrt(0.9 * 0.1 / 400 + now * (1 - now) / 400), rel=0.02
    )


@pytest.mark.parametrize("p", [0.5, 0.9, 0.99, 1.0])
def test_of_twenty_pairs_that_do_not_differ_at_most_one_is_called_different(p):
    """Two draws of the same binomial law, 4000 times."""
    draws = np.random.default_rng(0).binomial(300, p, size=(4000, 2)) / 300
    different = [abs(a - b) > noise(share(a, 300), share(b, 300), []) for a, b in draws]
    assert np.mean(different) < 0.055  # 5 %, and two standard errors of 4000 draws
    if p == 0.5:
        assert np.mean(different) > 0.03  # where it is exact it is not idle


def test_a_metric_that_is_no_share_needs_three_earlier_sittings(compared):
    losses = [1.0, 1.1, 0.9]
    assert compared(*losses, metric="loss").verdict == "unknown"
    row = compared(1.0, 1.1, 0.9, 0.95, metric="loss")
    # t of 2 degrees
    assert row.verdict == "same" and row.noise == pytest.approx(
        4.303 * 0.1 * math.sqrt(2), rel=1e-3
    )
    assert row.now.metric == "test loss" and row.now.direction == "min"


def test_sittings_that_all_came_to_the_same_say_nothing_of_the_noise(compared):
    row = compared(1.0, 1.0, 1.0, 1.01, metric="loss")
    assert row.verdict == "unknown" and row.noise is None
    assert compared(1.0, 1.0, 1.0, 1.0, metric="loss").verdict == "same"


def test_a_lower_loss_is_better(compared):
    assert compared(1.0, 1.001, 0.999, 0.5, metric="loss").verdict == "better"
    assert compared(1.0, 1.001, 0.999, 1.5, metric="loss").verdict == "worse"


def test_where_nothing_was_tested_the_objective_itself_is_compared(sweep, sat):
    before, now = (sat(sweep(), value) for value in (0.8, 0.9))
    (row,) = compare(now, [before])
    assert row.now == Value("val_accuracy", "max", 0.9, 400) and row.verdict == "better"


def test_a_sitting_in_which_it_failed_is_passed_over(sweep, sat):
    first = sat(sweep(), 0.5, test=0.5)
    failed = sat(sweep(), 0.0, status="failed", error="out | of luck")
    now = sat(sweep(), 0.9, test=0.9)
    (row,) = compare(now, [first, failed])
    assert row.sitting == first.name and row.verdict == "better"
    (row,) = compare(failed, [first])
    assert row.verdict is None and row.error == "out | of luck"


def test_what_was_asked_otherwise_is_said(sweep, sat):
    before, now = sat(sweep(trials=3), 0.9, test=0.9), sat(sweep(trials=5, seed=1), 0.9, test=0.9)
    (row,) = compare(now, [before])
    assert row.changed == ("seed", "trials")
    assert "the same within noise (not the same seed, trials)" in table("nightly", [row])


def test_another_metric_is_not_compared(sweep, sat):
    before, now = sat(sweep(), 0.9, test=0.9), sat(sweep(), 0.9, test=0.9, metric="loss")
    (row,) = compare(now, [before])
    assert row.verdict == "unknown" and "not comparable: test accuracy before" in table(
        "nightly", [row]
    )


def test_a_search_without_a_finite_result_has_none(compared):
    row = compared(None)
    assert row.verdict == "unknown" and "no result" in table("nightly", [row])


def test_the_comparison_is_written_as_markdown_and_json(sweep, sat):
    sittings = [sat(sweep(), value, test=value) for value in (0.9, 0.91)]
    failed = sat(sweep(), 0.0, status="failed", error="out | of luck")
    text = write_comparison(sittings[1], "nightly", compare(sittings[1], sittings[:1]))
    assert text == sittings[1].comparison_table.read_text()
    before = f"0.9 ({sittings[0].name})"
    assert text.splitlines() == [
        "# nightly",
        "",
        f"| experiment | metric        | now  | {'before':<{len(before)}} | noise   | outcome      "
        f"         |",
        f"| ---------- | ------------- | ---- | {'-' * len(before)} | ------- | "
        "--------------------- |",
        f"| digits-mlp | test accuracy | 0.91 | {before} | ± 0.041 | the same within noise |",
    ]
    plain = json.loads(sittings[1].comparison.read_text())
    assert plain["sitting"] == sittings[1].name
    (row,) = plain["experiments"]
    assert (
        row["verdict"] == "same" and row["now"]["value"] == 0.91 and row["before"]["value"] == 0.9
    )
    assert "failed: out \\| of luck" in table("nightly", compare(failed, sittings))
