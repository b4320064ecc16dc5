"""Every private name of Ray that we use stands here: what another Ray lacks of them is listed."""

import ast
import inspect
import textwrap
from functools import cache
from importlib import import_module
from pathlib import Path
from sys import stdlib_module_names

import pytest

ENGINE = Path(__file__).parents[3] / "pipeline" / "engine"
INTERNALS = ENGINE / "internals"

# Modules that Ray documents. What is imported of another one is private.
DOCUMENTED = {
    "ray",
    "ray.autoscaler.sdk",
    "ray.exceptions",
    "ray.tune",
    "ray.tune.experiment",
    "ray.tune.schedulers",
    "ray.tune.search",
    "ray.util.scheduling_strategies",
}

# module:path -> what for. `Class()` is an object of the class, which has the attribute once it is
# made; `function(name)` a parameter, and `function('name')` a name that a function looks up.
NAMES = {
    # The process.
    "ray._private.worker:_worker_logs_enabled": "what raylets print",
    "ray._raylet:AuthenticationTokenLoader.instance": "a token of our own",
    "ray._raylet:AuthenticationTokenLoader.reset_cache": "a token of our own",
    "ray._raylet:Config.initialize": "variables given back",
    "ray._private.ray_constants:ENABLE_RAY_CLUSTER": "loopback alone",
    "ray._private.ray_constants:ENABLE_RAY_CLUSTERS_ENV_VAR": "loopback alone",
    "ray._private.utils:set_sigterm_handler": "signals while Ray starts",
    "ray._private.worker:init('_node_ip_address')": "loopback alone",
    "ray._private.worker:init('_temp_dir')": "a folder of our own",
    "ray._private.node:Node.start_monitor": "a process that nothing here uses",
    "ray._private.node:Node.start_api_server": "a process that nothing here uses",
    "ray._private.node:Node.start_log_monitor": "a process that nothing here uses",
    "ray._private.node:Node.start_ray_processes": "a node that is seen at once",
    "ray._private.node:Node.gcs_address": "a node that is seen at once",
    "ray._private.node:Node.dead_processes": "a node that is seen at once",
    "ray._private.node:Node()._plasma_store_socket_name": "a node that is seen at once",
    "ray._private.services:wait_for_node": "a node that is seen at once",
    "ray._private.worker:global_worker.node": "processes that are there before trials",
    "ray._private.node:Node.node_ip_address": "processes that are there before trials",
    "ray._private.node:Node.node_manager_port": "processes that are there before trials",
    "ray.core.generated.common_pb2:PYTHON": "processes that are there before trials",
    "ray.core.generated.node_manager_pb2:PrestartWorkersRequest": "the same",
    "ray.core.generated.node_manager_pb2_grpc"
    ":NodeManagerServiceStub.__init__('PrestartWorkers')": "the same",
    "ray.tune.tune:_setup_signal_catching": "signals while Tune runs",
    "ray.tune.execution.class_cache:DEFAULT_ENV_VARS": "one environment for all workers",
    "ray.tune.execution.class_cache:ENV_VARS_TO_PROPAGATE": "one environment for all workers",
    # Machines, nodes, the autoscaler.
    "ray._private.utils:get_num_cpus": "CPUs of this machine",
    "ray._common.utils:get_system_memory": "memory of this machine",
    "ray._private.state:available_resources_per_node": "what nodes have left",
    "ray._private.state:actors": "an actor's process",
    "ray.actor:ActorHandle._actor_id": "an actor's process",
    "ray._private.state:state.get_cluster_config": "nodes that may be started",
    "ray._private.ray_constants:DEBUG_AUTOSCALING_STATUS": "what the autoscaler reports",
    "ray.experimental.internal_kv:_internal_kv_get": "what the autoscaler reports",
    "ray.autoscaler.v2.sdk:get_cluster_status": "what the newer autoscaler reports",
    # The way into a cluster.
    "ray._private.services:canonicalize_bootstrap_address": "a cluster's head",
    "ray._private.authentication.authentication_token_setup"
    ":maybe_enable_token_auth_if_token_available(warn_if_disabled)": "this host's token",
    "ray._private.authentication.http_token_authentication"
    ":get_auth_headers_if_auth_enabled": "this process's token",
    "ray._private.ray_constants:GLOBAL_GRPC_OPTIONS": "a connection to a head",
    # Tune's controller.
    "ray.tune.execution.tune_controller:TrialRunnerWrapper()._tune_controller": "the controller",
    "ray.tune.execution.tune_controller:TuneController()._trial_to_actor": "trials with a worker",
    "ray.tune.execution.tune_controller:TuneController()._max_pending_trials": "how many start",
    "ray.tune.execution.tune_controller:TuneController()._trials_to_cache": "no state written",
    "ray.tune.execution.tune_controller:TuneController()._actor_cache": "idle workers",
    "ray.tune.execution.tune_controller:TuneController._maybe_cache_trial_actor": "idle workers",
    "ray.tune.execution.tune_controller:TuneController._trial_task_failure": "lost workers",
    "ray.tune.execution.tune_controller:TuneController()._resetting_trials": "lost workers",
    "ray.tune.execution.tune_controller:TuneController()._actor_manager": "hangs",
    "ray.air.execution._internal:RayActorManager()._actor_task_events": "hangs",
    "ray.air.execution._internal.event_manager:RayEventManager.get_futures": "hangs",
    "ray.air.execution._internal:RayActorManager()._live_actors_to_ray_actors_resources": "hangs",
    "ray.air.execution._internal:RayActorManager()._tracked_actors_to_state_futures": "hangs",
    "ray.air.execution._internal:RayActorManager()._tracked_actors_to_task_futures": "hangs",
    "ray.tune.utils.object_cache:_ObjectCache.num_cached_objects": "idle workers",
    "ray.tune.utils.object_cache:_ObjectCache.has_cached_object": "idle workers",
    "ray.tune.utils.object_cache:_ObjectCache.cache_object": "idle workers",
    "ray.tune.utils.object_cache:_ObjectCache.pop_cached_object": "idle workers",
    "ray.tune.utils.object_cache:_ObjectCache.flush_cached_objects(force_all)": "idle workers",
    # Trials that share a process.
    "ray.tune.execution.tune_controller:TuneController()._class_cache": "seats as workers",
    "ray.tune.execution.class_cache:_ActorClassCache.get": "seats as workers",
    "ray.actor:ActorClass.options": "seats as workers",
    "ray.actor:ActorClass._ray_from_modified_class('_default_options')": "what workers are given",
    "ray.actor:ActorHandle()._ray_actor_id": "seats as workers",
    "ray.actor:ActorHandle()._ray_weak_ref": "seats as workers",
    "ray.actor:ActorHandle._get_local_state": "whether a process is lost",
    # Tune's trials.
    "ray.tune.experiment:Trial()._setup_default_resource": "trials without a folder",
    "ray.tune.experiment:Trial().temporary_state": "a trial's worker",
    "ray.tune.experiment.trial:_TemporaryTrialState().ray_actor": "a trial's worker",
    "ray.tune.experiment:Trial().run_metadata": "losses and results of a trial",
    "ray.tune.experiment.trial:_TrainingRunMetadata().num_failures": "losses of a trial",
    "ray.tune.experiment.trial:_TrainingRunMetadata().last_result": "results of a trial",
    "ray.tune.experiment.trial:_TrainingRunMetadata().metric_analysis": "results of a trial",
    "ray.tune.experiment.trial:_TrainingRunMetadata().metric_n_steps": "results of a trial",
    "ray.tune.experiment:Trial.init_local_path": "a trial's folder",
    "ray.tune.experiment:Trial.update_resources": "a trial's resources",
    "ray.tune.experiment:Trial.set_config": "a trial's task",
    "ray.tune.experiment.config_parser:_create_trial_from_spec": "trials under ids of ours",
    "ray.tune.search.search_generator:SearchGenerator.create_trial_if_possible": "the same",
    "ray.tune.search.search_generator:SearchGenerator()._experiment": "the same",
    "ray.tune.search.search_generator:SearchGenerator()._parser": "the same",
    # What Tune is given.
    "ray.train._internal.session:_TrainingResult": "saves that leave nothing with Tune",
    "ray.tune:Trainable()._last_result": "saves that leave nothing with Tune",
    "ray.tune.progress_reporter:TrialProgressCallback": "nothing is printed",
    "ray.tune.schedulers:TrialScheduler._supports_buffered_results": "reports one by one",
    "ray.tune.schedulers:TrialScheduler._metric": "the metric is named",
    "ray.tune.schedulers:MedianStoppingRule()._stopped_trials": "a resume under the median rule",
    "ray.tune.schedulers:MedianStoppingRule._trials_beyond_time": "a rank under the median rule",
    "ray.tune.schedulers:MedianStoppingRule._running_mean": "the same",
    "ray.tune.schedulers:MedianStoppingRule._best_result": "the same",
}


def parts_of(name):
    """The module of a name, and what it asks of it: (attribute, how)."""
    module, _, path = name.partition(":")
    for part in path.split("."):
        attribute, _, inside = part.partition("(")
        yield module, attribute, inside.removesuffix(")") if "(" in part else None


def fault_of(name):
    """What is gone of a name; None where it is there."""
    module = name.partition(":")[0]
    try:
        found = import_module(module)
    except ImportError as error:
        return str(error)
    made = None  # the class of the object that is asked next
    for _, attribute, inside in parts_of(name):
        if made is not None:
            return None if attribute in attributes_of(made) else f"no attribute {attribute}"
        if not hasattr(found, attribute):
            return f"no {attribute}"
        found = getattr(found, attribute)
        if inside is None:
            continue
        if inside == "":
            made = found
        elif inside.startswith("'"):
            if inside.strip("'") not in inspect.getsource(inspect.unwrap(found)):
                return f"no {inside} in {attribute}"
        elif inside not in inspect.signature(found).parameters:
            return f"no parameter {inside}"
    return None


@cache
def attributes_of(kind):
    """What objects of a class have once they are made, as its source says."""
    found = set()
    for each in kind.__mro__[:-1]:
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(each)))
        except (OSError, TypeError):  # of C
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                if isinstance(node.value, ast.Name) and node.value.id == "self":
                    found.add(node.attr)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add(node.target.id)
    return found | set(dir(kind))


def test_the_state_of_an_actor_that_is_lost_is_what_ray_calls_dead():
    from ray.core.generated.gcs_pb2 import ActorTableData

    from pipeline.engine.internals import tune_seats

    assert tune_seats._DEAD == ActorTableData.DEAD


def test_every_private_name_of_ray_is_there():
    gone = {
        name: f"{fault} ({what_for})"
        for name, what_for in NAMES.items()
        if (fault := fault_of(name)) is not None
    }
    assert not gone


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("ray.no_such_module:name", "No module named 'ray.no_such_module'"),
        ("ray.tune.tune:_no_such_name", "no _no_such_name"),
        ("ray.tune.experiment:Trial()._no_such_attribute", "no attribute _no_such_attribute"),
        ("ray._private.worker:init('_no_such_option')", "no '_no_such_option' in init"),
        ("ray._private.utils:get_num_cpus(no_such_parameter)", "no parameter no_such_parameter"),
    ],
)
def test_a_name_that_is_gone_is_seen(name, fault):
    assert fault_of(name) == fault


# Who uses them.


def modules():
    """Each file of the engine, parsed."""
    return {
        path.relative_to(ENGINE.parent).as_posix(): ast.parse(path.read_text())
        for path in ENGINE.rglob("*.py")
    }


def own_names(trees):
    """Private names that the engine defines itself."""
    found = set()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                if isinstance(node.value, ast.Name) and node.value.id == "self":
                    found.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
    return found


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def rays_of(tree):
    """Names in a file that are classes of Ray's, and which."""
    return {
        alias.asname or alias.name: getattr(import_module(node.module), alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "ray"
        for alias in node.names
        if inspect.isclass(getattr(import_module(node.module), alias.name, None))
    }


def used_in(tree, own):
    """The private names of Ray in a file: imported, asked of an object, or overridden."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "ray":
            hidden = node.module not in DOCUMENTED
            found |= {alias.name for alias in node.names if hidden or is_private(alias.name)}
        elif isinstance(node, ast.Attribute):
            of_python = isinstance(node.value, ast.Name) and node.value.id in stdlib_module_names
            private = is_private(node.attr) and node.attr not in own and not of_python
            if private or node.attr in UNMARKED:
                found.add(node.attr)
        elif isinstance(node, ast.keyword) and node.arg and is_private(node.arg):
            found.add(node.arg)
    rays = rays_of(tree)
    for kind in ast.walk(tree):
        if not isinstance(kind, ast.ClassDef):
            continue
        bases = [rays[b.id] for b in kind.bases if isinstance(b, ast.Name) and b.id in rays]
        theirs = {name for base in bases for name in attributes_of(base) if is_private(name)}
        for node in ast.walk(kind):
            name = (
                node.attr
                if isinstance(node, ast.Attribute)
                else node.id
                if isinstance(node, ast.Name)
                else getattr(node, "name", "")
            )
            if name in theirs:
                found.add(name)
    return found


# What is private without an underscore: nothing else of ours may be called so.
UNMARKED = {"temporary_state", "run_metadata", "num_failures", "num_cached_objects"}
IDENTIFIERS = {
    each.strip("'")
    for name in NAMES
    for module, attribute, inside in parts_of(name)
    for each in (module.rpartition(".")[2], attribute, inside or attribute)
}


def test_no_private_name_of_ray_is_used_outside_internals():
    trees = modules()
    own = own_names(trees.values())
    outside = {
        file: used
        for file, tree in trees.items()
        if not file.startswith("engine/internals/") and (used := used_in(tree, own))
    }
    assert not outside


def test_each_that_is_used_in_internals_is_listed_and_each_that_is_listed_is_used():
    trees = {f: t for f, t in modules().items() if f.startswith("engine/internals/")}
    used = set().union(*(used_in(tree, own_names(trees.values())) for tree in trees.values()))
    assert not used - IDENTIFIERS
    text = "\n".join(path.read_text() for path in INTERNALS.glob("*.py"))
    last = {name: list(parts_of(name))[-1] for name in NAMES}
    unused = {n for n, (_, name, inside) in last.items() if (inside or name).strip("'") not in text}
    assert not unused
