"""A NAT between a client and a server of one host, that gives the client another port when it is told to."""

from __future__ import annotations

import asyncio
from typing import Any


class Nat(asyncio.DatagramProtocol):
    """Between a client and a server of 127.0.0.1; the server sees the address of `back`."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.server = server
        self.front: Any = None
        self.client: Any = None
        self.back: Any = None

    async def start(self) -> tuple[str, int]:
        loop = asyncio.get_running_loop()
        self.front, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        await self.move()
        address: tuple[str, int] = self.front.get_extra_info("sockname")
        return address

    async def move(self) -> None:
        """Another port towards the server; what comes for the one before is lost."""
        nat, before = self, self.back

        class Back(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                if not nat.front.is_closing():
                    nat.front.sendto(data, nat.client)

        loop = asyncio.get_running_loop()
        self.back, _ = await loop.create_datagram_endpoint(Back, local_addr=("127.0.0.1", 0))
        if before is not None:
            before.close()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.client = addr
        if not self.back.is_closing():
            self.back.sendto(data, self.server)

    @property
    def address(self) -> tuple[str, int]:
        outside: tuple[str, int] = self.back.get_extra_info("sockname")
        return outside

    def close(self) -> None:
        self.front.close()
        self.back.close()
