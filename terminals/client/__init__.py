"""The terminal client behind `manage.py connect`: HTTP and one WebSocket, like any client.

Standard library, requests, websockets and orjson; nothing of Django and nothing of the server.
escape, frames, links, modes, notices, outbox, pace are pure; api asks over HTTP, console owns the local terminal,
session owns the socket.
"""
