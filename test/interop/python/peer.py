"""Speaks WebSocket by Python's websockets: as a client that does what lines of JSON on its standard input tell it to, or as a
server (argument "serve"). What it sees it says in lines of JSON on its standard output."""

import asyncio
import base64
import json
import ssl
import sys
from urllib.parse import parse_qs, urlsplit

import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatusCode


def say(report):
    print(json.dumps(report), flush=True)


class Client:
    def __init__(self):
        self.socket = None
        self.fragment_size = 0

    async def do(self, order):
        try:
            return await getattr(self, order["do"])(order)
        except Exception as error:
            return {"event": "failed", "error": repr(error)}

    async def dial(self, order):
        context = None
        if order["url"].startswith("wss:"):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self.fragment_size = order.get("fragmentSize", 0)
        self.pongs = asyncio.Queue()
        try:
            self.socket = await websockets.connect(
                order["url"],
                ssl=context,
                origin=order.get("origin"),
                subprotocols=order.get("subprotocols") or None,
                compression="deflate" if order.get("compress") else None,
                max_size=None,
            )
        except InvalidStatusCode as error:
            return {"event": "refused", "status": error.status_code}
        return {
            "event": "open",
            "subprotocol": self.socket.subprotocol or "",
            "compressed": len(self.socket.extensions) > 0,
        }

    async def next(self, _order):
        if not self.pongs.empty():
            data, pong = await self.pongs.get()
            await asyncio.wait_for(pong, 10)
            return {"event": "pong", "data": base64.b64encode(data).decode()}
        try:
            message = await asyncio.wait_for(self.socket.recv(), 10)
        except ConnectionClosed:
            return {"event": "close", "code": self.socket.close_code, "reason": self.socket.close_reason}
        kind = "text" if isinstance(message, str) else "binary"
        data = message.encode() if isinstance(message, str) else message
        return {"event": "message", "kind": kind, "data": base64.b64encode(data).decode()}

    async def send(self, order):
        data = base64.b64decode(order["data"])
        if order["kind"] == "text":
            data = data.decode()
        size = self.fragment_size
        if size:
            await self.socket.send([data[at : at + size] for at in range(0, len(data), size)])
        else:
            await self.socket.send(data)
        return {"event": "done"}

    async def ping(self, order):
        data = base64.b64decode(order["data"])
        await self.pongs.put((data, await self.socket.ping(data)))
        return {"event": "done"}

    async def close(self, order):
        await self.socket.close(order["code"], order.get("reason", ""))
        return {"event": "done"}


async def obey():
    client = Client()
    reader = asyncio.StreamReader(limit=64 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        say(await client.do(json.loads(line)))


async def echo(socket):
    async for message in socket:
        await socket.send(message)


async def serve_path(socket, path):
    route = urlsplit(path)
    if route.path == "/echo":
        await echo(socket)
    elif route.path == "/fragments":
        async for message in socket:
            await socket.send([message[at : at + 1024] for at in range(0, len(message), 1024)])
    elif route.path == "/greeting":
        await socket.send("welcome")
        await echo(socket)
    elif route.path == "/close":
        query = parse_qs(route.query)
        await socket.close(int(query["code"][0]), query["reason"][0])
    elif route.path == "/closed":
        await socket.wait_closed()
        say({"event": "close", "code": socket.close_code, "reason": socket.close_reason})
    elif route.path == "/ping":
        await (await socket.ping("are you there"))
        await socket.send("pong are you there")
        await socket.wait_closed()


async def serve(certificate):
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    options = {"ssl": context, "subprotocols": ["v2.chat", "v1.chat"], "origins": [None, "http://friend.example"]}
    async with websockets.serve(serve_path, "127.0.0.1", 0, **options) as server:
        say({"event": "listening", "port": str(server.sockets[0].getsockname()[1])})
        await reader.read()


asyncio.run(serve(sys.argv[2:]) if sys.argv[1:2] == ["serve"] else obey())
