"""Says at the end how much of KerasTuner's vocabulary was compared, and how much of it is the
same."""


def pytest_terminal_summary(terminalreporter):
    compared = "test_keras_tuner.py::test_a_behaviour_is_keras_tuners["
    counts = {
        end: sum(
            compared in report.nodeid
            for report in terminalreporter.stats.get(end, [])
            if report.when == "call"
        )
        for end in ("passed", "failed")
    }
    if sum(counts.values()):
        terminalreporter.write_line(
            f"{counts['passed']}/{sum(counts.values())} behaviours identical to keras-tuner 1.4.8"
        )
