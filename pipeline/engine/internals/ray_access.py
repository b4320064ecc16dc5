"""How Ray finds a cluster's head and shows it a token, in our words."""

from contextlib import suppress
from typing import Any

from ray.exceptions import AuthenticationError


def head_of(address: str) -> str | None:
    """HOST:PORT of a cluster's head; None where `RAY_ADDRESS` names no cluster.

    Raises:
        ConnectionError: there is no cluster to be found on this host.
    """
    from ray._private.services import canonicalize_bootstrap_address

    head: str | None = canonicalize_bootstrap_address(address)
    return head


def show_token_if_there_is_one() -> None:
    """Have Ray show the token that this host has.

    Ray does so by itself for `auto` alone. Where it was said to be off, it stays off.
    """
    from ray._private.authentication.authentication_token_setup import (
        maybe_enable_token_auth_if_token_available,
    )

    maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def shown_token() -> dict[str, str]:
    """The token as this process shows it to a cluster; {} where it shows none, or has none."""
    from ray._private.authentication.http_token_authentication import (
        get_auth_headers_if_auth_enabled,
    )

    with suppress(AuthenticationError):  # it is to show one, and there is none
        return dict(get_auth_headers_if_auth_enabled({}))
    return {}


def channel_options() -> Any:
    """Options of a connection to a head: past a proxy, as Ray goes."""
    from ray._private.ray_constants import GLOBAL_GRPC_OPTIONS

    return GLOBAL_GRPC_OPTIONS
