"""Whether a cluster asks for a token, and takes ours: asked of its head, as anybody could.

What the head is set to is nowhere to be read, and Ray itself would try a wrong token for 20 s
(2.60).
"""

import os
from typing import Any

import psutil

from pipeline.errors import RequestError

KNOCK_S = 5.0


def check_access(address: str, *, insecure: bool) -> None:
    """Refuse a cluster that lets anybody in, unless it is on loopback alone, or that refuses us.

    TLS is left to Ray: such a cluster asks each client for a certificate.

    Args:
        address: HOST:PORT, or auto.
        insecure: take one that lets anybody in.

    Raises:
        RequestError: in one line, what to do.
        ConnectionError: as Ray raises it: there is no cluster to be found on this host; or it does
            not answer, which is no sign that it is closed.
    """
    import grpc

    from pipeline.engine.internals.ray_access import (
        head_of,
        show_token_if_there_is_one,
        shown_token,
    )

    head = head_of(address)
    if head is None:  # Ray would start one of its own
        raise ConnectionError("RAY_ADDRESS names no cluster")
    if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
        return
    to_anybody = _knock(head, {})
    if to_anybody not in (grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED) and not insecure:
        raise ConnectionError(f"{to_anybody.name.replace('_', ' ').lower()}.")
    if to_anybody is grpc.StatusCode.OK and not insecure and not _on_loopback_alone(head):
        raise RequestError(
            f"A cluster must ask for a token; {head} lets in whoever reaches it, to run what they "
            "like. Turn it on: "
            "`ray get-auth-token --generate` once, ~/.ray/auth_token copied to each host, "
            "RAY_AUTH_MODE=token set for "
            "each `ray start` and for this command. To go on without: --insecure."
        )
    if to_anybody is grpc.StatusCode.UNAUTHENTICATED:
        show_token_if_there_is_one()
        ours = shown_token()
        if not ours or _knock(head, ours) is not grpc.StatusCode.OK:
            has = "another one" if ours else "none"
            raise RequestError(
                f"The token of the cluster must be known; {head} asks for it, and this process has "
                f"{has}. Copy "
                "~/.ray/auth_token from the cluster's head, and set RAY_AUTH_MODE=token."
            )


def _knock(head: str, token: dict[str, str]) -> Any:
    """What the head answers to a caller with this token, or with none."""
    import grpc

    from pipeline.engine.internals.ray_access import channel_options

    shown = [(name.lower(), value) for name, value in token.items()]
    with grpc.insecure_channel(head, options=channel_options()) as channel:
        ask = channel.unary_unary("/ray.rpc.NodeInfoGcsService/CheckAlive")
        try:
            ask(b"", timeout=KNOCK_S, metadata=shown, wait_for_ready=True)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def _on_loopback_alone(head: str) -> bool:
    """Whether the head is on this machine, and no other can reach it."""
    host, _, port = head.rpartition(":")
    listens = {
        one.laddr.ip.removeprefix("::ffff:")
        for one in psutil.net_connections("tcp")
        if one.laddr and one.laddr.port == int(port) and one.status == psutil.CONN_LISTEN
    }
    return host == "127.0.0.1" and listens == {"127.0.0.1"}
