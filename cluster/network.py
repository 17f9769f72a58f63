"""A network of this machine's own for the nodes of a cluster: one namespace a node, one bridge.

Each node has an address of its own, and its cable can be pulled. Needs root and ``ip``.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass

_SUBNETS = range(100, 200)
#: Where the machine itself is in the network.
_HOST = 1
_FIRST_NODE = 10


class NetworkError(Exception):
    """``ip`` refused something; the text is what it said."""


@dataclass(frozen=True, slots=True)
class Network:
    """One bridge and its subnet.

    Attributes:
        name: Of the bridge, and the start of every other name; at most 8 characters.
        subnet: The first three numbers of every address.
    """

    name: str
    subnet: str

    @classmethod
    def create(cls, name: str) -> Network:
        """Make the bridge, in a subnet that this machine does not use yet.

        Raises:
            NetworkError: It cannot be made.
        """
        listed = json.loads(_ip("-json", "-4", "address"))
        used = {one["local"].rpartition(".")[0] for link in listed for one in link["addr_info"]}
        free = [f"10.231.{number}" for number in _SUBNETS if f"10.231.{number}" not in used]
        if not free:
            raise NetworkError("every subnet of 10.231 is used; end a cluster that is not needed")
        network = cls(name, secrets.choice(free))  # two that start at once take two
        # Left to itself a bridge takes the smallest address of its cables, another one when a node
        # goes, and the others do not find this machine for as long as they remember the old one.
        own = ":".join(f"{byte:02x}" for byte in (0x02, *secrets.token_bytes(5)))
        _ip("link", "add", name, "address", own, "type", "bridge")
        _ip("address", "add", f"{network.host}/24", "dev", name)
        _ip("link", "set", name, "up")
        return network

    @property
    def host(self) -> str:
        """The address of this machine, as the nodes see it."""
        return f"{self.subnet}.{_HOST}"

    def address(self, number: int) -> str:
        """The address of a node, by its number from 0."""
        return f"{self.subnet}.{_FIRST_NODE + number}"

    def namespace(self, number: int) -> str:
        """The name of a node's namespace."""
        return f"{self.name}-n{number}"

    def plug_in(self, number: int) -> None:
        """Make a node's namespace, with a cable to the bridge.

        Raises:
            NetworkError: It cannot be made.
        """
        namespace, cable, inner = self.namespace(number), self._cable(number), f"{self.name}i"
        _ip("netns", "add", namespace)
        _ip("link", "add", cable, "type", "veth", "peer", "name", inner, "netns", namespace)
        inside = ("-netns", namespace)
        _ip(*inside, "address", "add", f"{self.address(number)}/24", "dev", inner)
        _ip(*inside, "link", "set", "lo", "up")
        _ip(*inside, "link", "set", inner, "up")
        _ip(*inside, "route", "add", "default", "via", self.host)
        _ip("link", "set", cable, "master", self.name, "up")

    def cut(self, number: int) -> None:
        """Take a node off the bridge: its packets vanish, and no connection is told."""
        _ip("link", "set", self._cable(number), "nomaster")

    def heal(self, number: int) -> None:
        """Put it back."""
        _ip("link", "set", self._cable(number), "master", self.name)

    def unplug(self, number: int) -> None:
        """Remove a node's namespace and cable, as far as they are there."""
        _ip("link", "delete", self._cable(number), missing_ok=True)
        _ip("netns", "delete", self.namespace(number), missing_ok=True)

    def remove(self) -> None:
        """Remove the bridge."""
        _ip("link", "delete", self.name, missing_ok=True)

    def _cable(self, number: int) -> str:
        return f"{self.name}-c{number}"


def available() -> bool:
    """Whether this process may make namespaces: root is not enough in a container."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "nsenter", "unshare"))):
        return False
    name = f"lens-try-{os.getpid()}"
    try:
        _ip("netns", "add", name)
        _ip("link", "add", f"lt{os.getpid()}", "type", "bridge")
    except NetworkError:
        return False
    finally:
        _ip("netns", "delete", name, missing_ok=True)
        _ip("link", "delete", f"lt{os.getpid()}", missing_ok=True)
    return True


def _ip(*arguments: str, missing_ok: bool = False) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode and not missing_ok:
        raise NetworkError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
