"""Ray's process state that has no setting of its own: token, signals, prints, environments."""

import logging
import os
import secrets
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from pipeline.watch import PASSED_ON

TOKEN = "RAY_AUTH_TOKEN"
# Ray's loggers, and how much of each the run's log has: Tune tells of each step of a trial.
RAYS_LOGGERS = {
    "ray": logging.INFO,
    "ray.tune": logging.DEBUG,
    "ray.train": logging.INFO,
    "ray.data": logging.INFO,
}
# What Tune logs at each epoch, of which the run's log has a line of ours (2.60).
EACH_EPOCH = (
    "Executing final queued decision",
    "Future TRAIN",
    "Processing trial results",
    "Scheduling future TRAIN",
    "Unable to encode",
)
_given: dict[str, str | None] = {}  # the caller's own, of the variables that a local cluster took


def let_raylet_print(allowed: bool) -> None:
    """Of each process that dies it prints a paragraph.

    Here the records and the closing lines say what came of it.
    """
    from ray._private import worker

    # `log_to_driver` does not reach `listen_error_messages` (2.60).
    worker._worker_logs_enabled = allowed


def take_token() -> None:
    """Have a token where the caller imported Ray first.

    Ray would write one that all may read into the home (2.60).
    """
    from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]

    _given.setdefault("RAY_AUTH_MODE", os.environ.get("RAY_AUTH_MODE"))  # Ray sets it
    if TOKEN not in os.environ:
        set_variables({TOKEN: secrets.token_hex(32)})
        AuthenticationTokenLoader.instance().reset_cache()  # of an earlier Ray of the caller's


def set_variables(variables: dict[str, str]) -> None:
    """Set environment variables that stay, until `give_variables_back`."""
    for name, value in variables.items():
        _given.setdefault(name, os.environ.get(name))
        os.environ[name] = value


def give_variables_back() -> None:
    """Show a cluster the caller's own token.

    An earlier search of this process may have put a local one in its place.

    Ray keeps all of it from when it was imported, so it is told too.
    """
    from ray._private import ray_constants
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    if not _given:
        return
    for name, value in _given.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    _given.clear()
    ray_constants.ENABLE_RAY_CLUSTER = (
        os.environ.get(ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, "1") != "0"
    )
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def environment_with(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables, and give them back as they were."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def signals_wait() -> Iterator[None]:
    """Do what a signal asks for once Ray has started.

    Broken off, Ray crashes this process as it ends (2.60).

    The same signal again does not wait, unless a sweep passes it on. Nor does one that has no
    handler in Python. Ray leaves that of SIGTERM as it is; its own would exit at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    from ray._private import utils

    handlers: dict[int, Any] = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM, PASSED_ON)
        if callable(handler := signal.getsignal(number))
    }
    came: list[int] = []

    def wait(number: int, frame: FrameType | None) -> None:
        if number not in came:
            came.append(number)
        elif number != PASSED_ON:
            handlers[number](number, frame)

    theirs = utils.set_sigterm_handler
    utils.set_sigterm_handler = lambda handler: None
    try:
        for number in handlers:
            signal.signal(number, wait)
        yield
    finally:
        utils.set_sigterm_handler = theirs
        with ExitStack() as after:  # each handler may raise
            for number in reversed(came):
                after.callback(signal.raise_signal, number)
            for number, handler in handlers.items():
                signal.signal(number, handler)


@contextmanager
def keep_signals() -> Iterator[None]:
    """Keep Tune from taking SIGINT, and SIGUSR1 whatever it is told (2.60).

    Nobody would know why the search ended.
    """
    from ray.tune import tune

    theirs = tune._setup_signal_catching
    tune._setup_signal_catching = threading.Event
    try:
        yield
    finally:
        tune._setup_signal_catching = theirs


@contextmanager
def let_trials_inherit() -> Iterator[None]:
    """Keep Tune from giving its actors environment variables.

    Ray would start a process for each (Ray 2.60).

    The processes have them, as they were started from this one; all but one of PyTorch Lightning's.
    """
    from ray.tune.execution import class_cache

    given, propagated = dict(class_cache.DEFAULT_ENV_VARS), set(class_cache.ENV_VARS_TO_PROPAGATE)
    class_cache.DEFAULT_ENV_VARS.clear()
    class_cache.ENV_VARS_TO_PROPAGATE.clear()
    try:
        yield
    finally:
        class_cache.DEFAULT_ENV_VARS.update(given)
        class_cache.ENV_VARS_TO_PROPAGATE.update(propagated)


@contextmanager
def without_widgets() -> Iterator[None]:
    """Let Ray be imported without a word on widgets: nothing here shows any in a notebook.

    Ray and tqdm, which it imports, say there that ipywidgets is missing (2.60).
    """
    logging.getLogger("ray.widgets").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")
        yield


def hush() -> None:
    """Keep Ray's loggers from printing."""
    for name in RAYS_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def agents_ending(temporary: Path) -> Iterator[None]:
    """Let Ray's two agents end as soon as the node does, also if that is while Ray starts.

    Where it was killed, they try for a minute to report that to a server which is dead too, unless
    the node's log has this line (`ray/_private/process_watcher.py`, 2.60): with it they were gone
    after 2.5 s.
    """
    started = threading.Event()

    def tell() -> None:
        while not (logs := list(temporary.glob("session_*/logs/raylet.out"))) and not started.wait(
            0.05
        ):
            pass
        for log in logs:
            with suppress(FileNotFoundError), log.open("a") as file:  # Ray's start has failed
                file.write("Raylet received SIGTERM, as far as its agents are to know.\n")

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        started.set()
        teller.join()
