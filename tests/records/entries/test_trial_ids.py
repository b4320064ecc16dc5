from pipeline.records.entries.trial_ids import id_of, number_of, sort_key


def test_an_id_says_its_trials_place():
    ids = [id_of(number) for number in (0, 12, 9999, 10000)]
    assert ids == ["t0000", "t0012", "t9999", "t10000"]
    assert [number_of(trial) for trial in ids] == [0, 12, 9999, 10000]
    assert sorted(reversed(ids), key=sort_key) == ids
