"""Receivers of alerts on loopback: a web server that can be down, and a mail server of a few lines."""

from __future__ import annotations

import base64
import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest


class Inbox(HTTPServer):
    """Keeps what is posted as (path, body), and answers with `status`."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Page)
        self.posted, self.status = [], 202

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Page(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.status < 300:
            self.server.posted.append((self.path, body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_):
        pass


class Post(socketserver.TCPServer):
    """Speaks as much SMTP as a client needs: who logged in, from whom, to whom, and the message."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Talk)
        self.logins, self.letters, self.refuse = [], [], False


class Talk(socketserver.StreamRequestHandler):
    def handle(self):
        self.say("220 here")
        to = []
        while line := self.rfile.readline().decode().strip():
            verb = line.split()[0].upper()
            if verb == "EHLO":
                self.say("250-here\r\n250 AUTH PLAIN")
            elif verb == "AUTH":
                self.server.logins.append(base64.b64decode(line.split()[-1]).decode().split("\0")[1:])
                self.say("235 welcome")
            elif verb == "RCPT":
                to.append(line.partition(":")[2])
                self.say("550 no such box" if self.server.refuse else "250 yes")
            elif verb == "DATA":
                self.say("354 go on")
                lines = []
                while (part := self.rfile.readline()) != b".\r\n":
                    lines.append(part)
                self.server.letters.append((to, b"".join(lines)))
                self.say("250 kept")
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 fine")

    def say(self, line):
        self.wfile.write(f"{line}\r\n".encode())


def running(server):
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def inbox():
    yield from running(Inbox())


@pytest.fixture
def post():
    yield from running(Post())
