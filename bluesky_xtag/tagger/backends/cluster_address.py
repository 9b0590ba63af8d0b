"""Addresses of Dask schedulers, and which of them may be used without TLS."""

from __future__ import annotations

from ipaddress import ip_address

from ...errors import XTagValueError

__all__ = ["is_cluster_address", "refuse_open_scheduler"]


def is_cluster_address(name: str) -> bool:
    """Return whether the name of a backend is the address of a scheduler, such as ``tls://host:8786``."""
    return "://" in name


def refuse_open_scheduler(address: str) -> None:
    """Raise XTagValueError unless a scheduler uses TLS or is reached through this machine's loopback only."""
    scheme, _, place = address.rpartition("://")
    if scheme == "tls":
        return
    host = place.rpartition(":")[0].strip("[]") or place
    try:
        near = host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # a name: nobody knows whose machine it is tomorrow
        near = False
    if scheme not in ("", "tcp") or not near:
        raise XTagValueError(
            f"the Dask scheduler {address} is beyond this machine and does not use TLS, so whoever reaches it can run "
            "code on its workers: give an address tls://..., or say insecure=True (--insecure) if only people whom you "
            "trust are on that network"
        )
