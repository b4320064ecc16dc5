"""What Ray knows of its machines, processes and autoscaler, in our words."""

import json
from typing import Any

import ray


def cpus_here() -> int:
    """How many CPUs Ray counts on this machine, or in this container."""
    from ray._private.utils import get_num_cpus

    return int(get_num_cpus())


def memory_here() -> int:
    """Bytes of memory that this machine has, or this container may use."""
    from ray._common.utils import get_system_memory

    return int(get_system_memory())


def free_resources() -> dict[str, dict[str, float]]:
    """What each node has left, by the node's id."""
    from ray._private.state import available_resources_per_node

    return dict(available_resources_per_node())


def process_of(actor: Any) -> int:
    """The number of an actor's process, on its node; 0 while it is being started."""
    from ray._private.state import actors

    return int(actors(actor._actor_id.hex()).get("Pid", 0))


def node_groups() -> list[Any] | None:
    """Groups of nodes that the cluster may start: `resources`, `max_count`. None where not told."""
    from ray._private.state import state

    config = state.get_cluster_config()
    return None if config is None else list(config.node_group_configs)


def autoscaler_status() -> dict[str, Any]:
    """What the older autoscaler reports; {} before it does."""
    from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
    from ray.experimental.internal_kv import _internal_kv_get

    return dict(json.loads(_internal_kv_get(DEBUG_AUTOSCALING_STATUS) or "{}"))


def node_types_of_newer_autoscaler() -> list[str] | None:
    """The type of each node that the newer autoscaler has started; None where there is none."""
    from ray.autoscaler.v2.sdk import get_cluster_status

    status = get_cluster_status(ray.get_runtime_context().gcs_address)
    if int(status.stats.autoscaler_version or 0) == 0:
        return None
    return [node.ray_node_type_name for node in [*status.active_nodes, *status.idle_nodes]]
