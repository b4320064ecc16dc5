"""Who is let in to a cluster; tests/hosts asks real ones, here what answers is a server that speaks
as a head does."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest

from pipeline.engine.cluster import access
from pipeline.engine.cluster.access import check_access
from pipeline.engine.cluster.connect import address_of
from pipeline.errors import RequestError
from pipeline.experiment import Experiment
from pipeline.names import HOME


class Head(grpc.GenericRpcHandler):
    """Lets in who shows the token; without one, everybody."""

    def __init__(self, token=None):
        self.token = token

    def service(self, call):
        def answer(_, context):
            if (
                self.token
                and dict(call.invocation_metadata).get("authorization") != f"Bearer {self.token}"
            ):
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "a token, please")
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@contextmanager
def listening(host, token=None):
    server = grpc.server(ThreadPoolExecutor(1), handlers=[Head(token)])
    port = server.add_insecure_port(f"{host}:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@pytest.fixture(autouse=True)
def nobodys(monkeypatch):
    for name in ("RAY_ADDRESS", "RAY_USE_TLS"):
        monkeypatch.delenv(name, raising=False)


def test_a_cluster_that_lets_in_whoever_reaches_it_is_refused_unless_that_is_asked_for():
    with listening("0.0.0.0") as head:
        with pytest.raises(
            RequestError, match="A cluster must ask for a token; .* lets in whoever reaches it"
        ):
            check_access(head, insecure=False)
        check_access(head, insecure=True)


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy"])
def test_a_proxy_hides_no_open_cluster(monkeypatch, variable):
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    with (
        listening("0.0.0.0") as head,
        pytest.raises(RequestError, match="lets in whoever reaches it"),
    ):
        check_access(head, insecure=False)


def test_silence_is_not_taken_for_a_closed_door(monkeypatch):
    monkeypatch.setattr(access, "KNOCK_S", 0.2)
    with pytest.raises(ConnectionError):
        check_access("127.0.0.1:9", insecure=False)


def test_ray_is_asked_for_no_cluster_where_its_own_variable_says_that_there_is_none(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert address_of(Experiment(dataset="digits")) is None
    with pytest.raises(ConnectionError, match="RAY_ADDRESS names no cluster"):
        check_access("auto", insecure=True)
    monkeypatch.setenv("RAY_ADDRESS", "")
    assert address_of(Experiment(dataset="digits")) is None
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert address_of(Experiment(dataset="digits")) == "10.0.0.1:6379"
    assert address_of(Experiment(dataset="digits", address="auto")) == "auto"


def test_an_address_without_a_cluster_is_refused_in_one_line(cli, tmp_path):
    code, _, errors = cli("digits", "--address", "127.0.0.1:9", cwd=tmp_path)
    assert code == 2 and not list(tmp_path.iterdir())
    (line,) = errors.splitlines()
    assert line.startswith(
        "Error: --address must name a running Ray cluster that this host belongs to; 127.0.0.1:9 "
    )


def run(program, **environment):
    """A process of its own: Ray keeps what it reads of the environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment = kept | {"PYTHONPATH": str(HOME)} | environment
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout


OWN = "a" * 64
AFTER_A_LOCAL_SEARCH = """
import os
from pipeline.engine.cluster import connect
from pipeline.engine.internals.ray_process import TOKEN, give_variables_back, set_variables
taken = connect.LOCAL | {TOKEN: "b" * 64}
before = {name: os.environ.get(name) for name in taken}
set_variables(taken)
import ray
from ray._private.authentication.http_token_authentication import get_auth_headers_if_auth_enabled as shown
local = shown({})
give_variables_back()
assert {name: os.environ.get(name) for name in taken} == before
print(*local.values(), *shown({}).values(), sep="\\n")
"""


def test_a_cluster_is_shown_the_callers_own_token_after_a_local_search_of_the_same_process(
    tmp_path,
):
    said = run(AFTER_A_LOCAL_SEARCH, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=OWN)
    assert said.split() == ["Bearer", "b" * 64, "Bearer", OWN]
    said = run(AFTER_A_LOCAL_SEARCH, HOME=str(tmp_path))  # there was none
    assert said.split() == ["Bearer", "b" * 64]
