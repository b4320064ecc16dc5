"""The start of Ray on this machine, and the end of all that a start which failed left behind."""

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil

from pipeline.engine.internals.ray_access import shown_token

# These start processes that a search on one machine has no use for: the autoscaler, the dashboard's
# server, and the monitor that sends logs to the driver. Each is a Python process, and Ray waits for
# it.
UNUSED = ("start_monitor", "start_api_server", "start_log_monitor")
# An idle worker needs this long to see that its raylet is gone.
END_S = 10.0
ASKED_S = 10.0
SEEN_S = 10.0


def start_on_loopback(
    temporary: str,
    cpus: int | None,
    gpus: int | None,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Start Ray, so that it listens on loopback alone.

    Args:
        temporary: the folder that it works in.
        cpus: how many it may use; None for all.
        gpus: how many it may use; None for all.
        meanwhile: called once, while Ray's processes start.

    Raises:
        Exception: of many kinds; what had started by then has been ended.
    """
    import ray
    from ray._private import ray_constants

    # Else Ray replaces a loopback address by the machine's own. It reads this from the environment
    # when it is imported, which the caller may have done before.
    ray_constants.ENABLE_RAY_CLUSTER = False
    before = set(psutil.Process().children(recursive=True))
    try:
        with _without_unused(), _seen_at_once(meanwhile):
            ray.init(
                num_cpus=cpus,
                num_gpus=gpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                _node_ip_address="127.0.0.1",
                _temp_dir=temporary,
            )
    except Exception:
        started = set(psutil.Process().children(recursive=True)) - before
        with suppress(Exception):  # what it had started knows of no end
            ray.shutdown()
        end_all(started, temporary)
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextmanager
def _without_unused() -> Iterator[None]:
    """Start a node without the processes that nothing here uses.

    Ray has no setting for them (2.60).
    """
    from ray._private.node import Node

    theirs = {name: getattr(Node, name) for name in UNUSED}
    for name in UNUSED:
        setattr(Node, name, lambda *_, **__: None)
    try:
        yield
    finally:
        for name, start in theirs.items():
            setattr(Node, name, start)


@contextmanager
def _seen_at_once(meanwhile: Callable[[], None]) -> Iterator[None]:
    """Go on as soon as the node is there.

    Ray looks once before it can be, and then each second (2.60).
    """
    from ray._private.node import Node
    from ray._private.services import wait_for_node

    theirs = Node.start_ray_processes

    def start(node: Any) -> None:
        theirs(node)
        meanwhile()
        until = time.monotonic() + SEEN_S
        # what is not seen then Ray looks for itself, and says what it found
        while time.monotonic() < until and not node.dead_processes():
            with suppress(TimeoutError):
                wait_for_node(node.gcs_address, node._plasma_store_socket_name, 1)
                return

    setattr(Node, theirs.__name__, start)
    try:
        yield
    finally:
        setattr(Node, theirs.__name__, theirs)


def start_more(processes: int) -> None:
    """Have Ray on this machine start so many more processes, which wait for actors.

    A task would start one too, which no actor is given after it (2.60).
    """
    import grpc
    import ray
    from ray._private.worker import global_worker
    from ray.core.generated import common_pb2, node_manager_pb2, node_manager_pb2_grpc

    messages: Any = node_manager_pb2
    languages: Any = common_pb2
    node: Any = global_worker.node
    asked = messages.PrestartWorkersRequest(
        language=languages.PYTHON,
        job_id=bytes.fromhex(ray.get_runtime_context().get_job_id()),
        num_workers=processes,
    )
    asked.runtime_env_info.serialized_runtime_env = "{}"
    with (
        suppress(grpc.RpcError),  # then they start once they are needed
        grpc.insecure_channel(f"{node.node_ip_address}:{node.node_manager_port}") as channel,
    ):
        node_manager_pb2_grpc.NodeManagerServiceStub(channel).PrestartWorkers(
            asked, timeout=ASKED_S, metadata=list(shown_token().items())
        )


def end_all(started: set[psutil.Process], temporary: str) -> None:
    """End processes, and all others that work in Ray's folder: some have left their parent."""
    deadline = time.monotonic() + END_S
    while time.monotonic() < deadline:
        left = {process for process in started if process.is_running()} | set(
            _working_in(temporary)
        )
        if not left:
            return
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=1)


def _working_in(folder: str) -> Iterator[psutil.Process]:
    """Processes of this user that name a folder in their command, or have a file open there.

    A worker's command is Ray's name for it, and names no folder.
    """
    inside = f"{folder}{os.sep}"
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        with suppress(psutil.Error, OSError):
            command = process.cmdline()
            if any(inside in argument for argument in command) or (
                command
                and command[0].startswith("ray::")
                and any(file.path.startswith(inside) for file in process.open_files())
            ):
                yield process
