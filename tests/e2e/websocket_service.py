"""A WebSocket service for the tests, of Debian's python3-websockets, on a thread of its own."""

import asyncio
import threading

import websockets


class WebSocketService:
    """Runs `handle(websocket)` for each connection; the usual one sends every message back."""

    def __init__(self, handle=None, **options):
        self.handle = handle or echo
        self.options = {"ping_interval": None, "max_size": None, **options}
        self.open = set()
        self.closes = []  # codes, in the order in which connections ended
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self.thread.start()
        assert ready.wait(30)

    def _run(self, ready):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._start())
        ready.set()
        self.loop.run_forever()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    async def _start(self):
        self.server = await websockets.serve(self._serve, "127.0.0.1", 0, **self.options)
        self.port = self.server.sockets[0].getsockname()[1]

    async def _serve(self, websocket):
        self.open.add(websocket)
        try:
            await self.handle(websocket)
            await websocket.wait_closed()
        except websockets.ConnectionClosed:
            pass
        finally:
            await websocket.wait_closed()
            self.open.discard(websocket)
            self.closes.append(websocket.close_code)

    @property
    def at(self):
        return f"127.0.0.1:{self.port}"

    def abort_all(self):
        """Resets every connection."""
        def abort():
            for websocket in self.open:
                websocket.transport.abort()
        self.loop.call_soon_threadsafe(abort)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        async def stop():
            self.server.close()
            await self.server.wait_closed()
        asyncio.run_coroutine_threadsafe(stop(), self.loop).result(30)  # more than a close may take
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(30)


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)
