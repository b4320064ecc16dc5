"""The logger `kerasweep`: silent by default, and what a search writes into its run's directory."""

import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import Experiment, tune
from pipeline.logs import LOGGER, LONGEST_LINE, MOST_BYTES, held, written_to

OTHER = logging.getLogger("another_library")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "debug.log"


def test_nothing_is_printed_by_default():
    code = (
        "import logging, pipeline\n"
        "logging.getLogger('kerasweep').warning('not on the terminal')\n"
        "from pipeline.logs import LOGGER, held\n"
        "with held():\n"
        "    LOGGER.error('nor this')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_is_logged_is_appended_to_the_file_and_what_was_held_comes_first(path):
    for number in range(2):
        with held():
            LOGGER.debug("Ray has started, %d", number)
            with written_to(path):
                LOGGER.debug("t0000 runs")
    LOGGER.warning("after the search")
    lines = path.read_text().splitlines()
    said = [line.partition("kerasweep: ")[2] for line in lines]
    assert said == ["Ray has started, 0", "t0000 runs", "Ray has started, 1", "t0000 runs"]
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} DEBUG ", line) for line in lines)


def test_the_lines_of_other_libraries_are_in_the_file_once_and_no_longer_than_the_search(path):
    inner = OTHER.getChild("part")
    with written_to(path, {OTHER.name: logging.INFO, inner.name: logging.DEBUG}, ("each epoch",)):
        OTHER.debug("too fine")
        OTHER.info("started")
        inner.debug("each epoch one")
        inner.debug("a part")
        inner.debug("x" * 2 * LONGEST_LINE)
    OTHER.error("later")
    first, second, third = path.read_text().splitlines()
    assert first.endswith("another_library: started")
    assert second.endswith("another_library.part: a part")
    assert len(third) == LONGEST_LINE + len("...")


def test_loggers_and_handlers_are_left_as_they_were(path, capsys):
    printing = logging.StreamHandler(sys.stderr)
    OTHER.addHandler(printing)
    OTHER.setLevel(logging.CRITICAL)
    before = [(e.level, e.propagate, list(e.handlers)) for e in (LOGGER, OTHER)]
    try:
        with held(), written_to(path, {OTHER.name: logging.DEBUG}):
            OTHER.error("for the file alone")
            OTHER.critical("for both")
        assert [(e.level, e.propagate, list(e.handlers)) for e in (LOGGER, OTHER)] == before
        assert printing.level == logging.NOTSET
        assert capsys.readouterr().err == "for both\n"
        assert len(path.read_text().splitlines()) == 2
    finally:
        OTHER.removeHandler(printing)
        OTHER.setLevel(logging.NOTSET)


def test_the_callers_own_handlers_get_no_debug_lines(path, caplog):
    with held(), written_to(path):
        LOGGER.debug("for the file alone")
    assert not caplog.records and path.read_text().count("\n") == 1


def test_the_file_does_not_grow_without_end(path):
    with written_to(path):
        for _ in range(2 * MOST_BYTES // LONGEST_LINE + 9):
            LOGGER.debug("x" * LONGEST_LINE)
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["debug.log", "debug.log.1"]
    assert all(file.stat().st_size <= MOST_BYTES for file in files)


@pytest.mark.parametrize("full", ["/dev/full", "/nowhere/debug.log"])
def test_a_disk_that_is_full_ends_nothing_and_says_nothing(tmp_path, path, capfd, full):
    path.symlink_to(full)
    with held():
        LOGGER.debug("held")
        with written_to(path):
            for number in range(20_000):
                LOGGER.debug("line %d", number)
    assert capfd.readouterr() == ("", "")


@pytest.mark.ray
@pytest.mark.slow
def test_a_search_logs_rays_lines_and_ours_and_a_resume_goes_on_where_the_disk_is_full(
    ray_cluster, tmp_path, capfd
):
    experiment = Experiment(
        dataset="digits",
        searcher="random",
        scheduler="asha",
        trials=3,
        max_epochs=3,
        storage=str(tmp_path / "runs"),
        name="logged",
    )
    run = tune(experiment)
    path = run.layout.debug_log
    text = path.read_text()
    assert re.search(r"DEBUG +kerasweep: plan: 3 trials, .* searcher random, scheduler asha", text)
    for trial in ("t0000", "t0001", "t0002"):
        assert re.search(rf"kerasweep: {trial} runs: {{'", text)
        assert re.search(rf"kerasweep: {trial} epoch 1: ", text)
        assert re.search(rf"kerasweep: {trial} is over: (finished|stopped)", text)
        assert re.search(rf"ray\.tune\.execution\.tune_controller: .*{trial}", text)
    assert "Future TRAIN" not in text and not LOGGER.isEnabledFor(logging.DEBUG)
    path.unlink()
    path.symlink_to("/dev/full")
    again = tune(experiment.changed(max_epochs=4), resume=run.directory)
    assert again.summary["trials"]["unfinished"] == 0 and again.history["epoch"].max() == 4
    assert capfd.readouterr().err == ""
