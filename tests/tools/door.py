#!/usr/bin/env python3
"""Knocks at a node's door in bad ways, and says in one JSON object what came of it.

    door.py PORT CA CERTIFICATE KEY CASE [COUNT]

CERTIFICATE and KEY are those of a peer, or "-" for a stranger. Standard library only.
  closed   the node ended the connection (or the handshake failed)
  goaway   the error code of its GOAWAY, -1 if there was none
  reset    error codes of streams that it reset
  status   grpc-status of answered calls, where it came in the clear
  sent     how much of the flood went out before the end
"""

import json
import socket
import ssl
import struct
import sys

PORT, CA, CERT, KEY, CASE = int(sys.argv[1]), *sys.argv[2:6]
COUNT = int(sys.argv[6]) if len(sys.argv) > 6 else 0
NAME = "laocai.bg.vn.example"
# The longest that anything here waits; reaching it is an answer ("open"), not a measurement.
PATIENCE = 20.0


def frame(kind, flags, stream, payload=b""):
    head = struct.pack(">I", len(payload))[1:] + bytes([kind, flags])
    return head + struct.pack(">I", stream) + payload


def context(alpn=("h2",), maximum=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if maximum:
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        made.maximum_version = maximum
    if CERT != "-":
        made.load_cert_chain(CERT, KEY)
    if alpn:
        made.set_alpn_protocols(list(alpn))
    return made


def tcp():
    made = socket.create_connection(("127.0.0.1", PORT), timeout=PATIENCE)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def tls(name=NAME, **how):
    return context(**how).wrap_socket(tcp(), server_hostname=name)


SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 4, 6, 7, 8, 9
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0)


def h2():
    made = tls()
    made.sendall(PREFACE)
    return made


def field(name, value):
    """A literal header, not indexed, not compressed; both shorter than 127 bytes."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def headers(path, more=b""):
    return (
        field(b":method", b"POST")
        + field(b":scheme", b"https")
        + field(b":path", path)
        + field(b":authority", NAME.encode())
        + field(b"content-type", b"application/grpc")
        + field(b"te", b"trailers")
        + more
    )


STAT = b"/liaison.v1.ExchangeService/StatAttachment"
SESSION = b"/liaison.v1.ExchangeService/Session"


def listen(sock, patience=PATIENCE):
    """Reads to the end, or until nothing has come for a while."""
    out = {"closed": False, "goaway": -1, "reset": []}
    sock.settimeout(patience)
    data = b""
    try:
        while True:
            part = sock.recv(65536)
            if not part:
                out["closed"] = True
                break
            data += part
            while len(data) >= 9:
                length = int.from_bytes(data[:3], "big")
                if len(data) < 9 + length:
                    break
                kind, payload = data[3], data[9 : 9 + length]
                if kind == GOAWAY:
                    out["goaway"] = int.from_bytes(payload[4:8], "big")
                elif kind == 3:
                    out["reset"].append(int.from_bytes(payload, "big"))
                data = data[9 + length :]
    except socket.timeout:
        pass
    except OSError:
        out["closed"] = True
    return out


def flood(make, count):
    """Sends what `make` gives for each number, until all is sent or the node ends it."""
    sock, sent = h2(), 0
    sock.settimeout(PATIENCE)
    try:
        for number in range(count):
            sock.sendall(make(number))
            sent += 1
    except OSError:
        pass
    return {**listen(sock), "sent": sent}


def stranger(make):
    """What becomes of a handshake, and of a first frame after it."""
    try:
        sock = make()
        sock.sendall(PREFACE)
        return listen(sock)
    except OSError as error:
        return {"closed": True, "error": type(error).__name__}


def raw(payload):
    sock = tcp()
    try:
        sock.sendall(payload)
    except OSError:
        return {"closed": True}
    return listen(sock)


def half_open(count):
    """Sockets that say nothing: how many the node has ended once the last was opened."""
    socks = [tcp() for _ in range(count)]
    ended = 0
    for sock in socks:
        out = listen(sock)
        ended += out["closed"]
    return {"closed": ended == count, "ended": ended}


def open_stream(sock, stream, path):
    sock.sendall(frame(1, 4, stream, headers(path)))


def drip():
    """Calls whose message begins and does not come."""
    sock = h2()
    for stream in range(1, 128, 2):
        open_stream(sock, stream, STAT)
        sock.sendall(frame(0, 0, stream, b"\x00" + struct.pack(">I", 1000) + b"x"))
    # Answers PING, as a client that lives does.
    out, sock_data = {"closed": False, "goaway": -1, "reset": []}, b""
    sock.settimeout(PATIENCE * 4)
    ended = set()
    try:
        while len(ended) < 64:
            part = sock.recv(65536)
            if not part:
                out["closed"] = True
                break
            sock_data += part
            while len(sock_data) >= 9:
                length = int.from_bytes(sock_data[:3], "big")
                if len(sock_data) < 9 + length:
                    break
                kind, flags = sock_data[3], sock_data[4]
                stream = int.from_bytes(sock_data[5:9], "big")
                payload = sock_data[9 : 9 + length]
                if kind == PING and not flags & 1:
                    sock.sendall(frame(PING, 1, 0, payload))
                elif kind == 3 or (kind == 1 and flags & 1):
                    ended.add(stream)
                sock_data = sock_data[9 + length :]
    except OSError:
        pass
    return {**out, "ended": len(ended)}


CASES = {
    "plain_http": lambda: raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "garbage": lambda: raw(bytes(range(256)) * 64),
    "half_hello": lambda: raw(b"\x16\x03\x01\x02\x00\x01"),
    "tls12": lambda: stranger(lambda: tls(maximum=ssl.TLSVersion.TLSv1_2)),
    "no_alpn": lambda: stranger(lambda: tls(alpn=())),
    "http1_alpn": lambda: stranger(lambda: tls(alpn=("http/1.1",))),
    "knock": lambda: stranger(tls),
    "other_sni": lambda: stranger(lambda: tls(name="somebody.else.example")),
    "long_sni": lambda: stranger(lambda: tls(name="a" * 63 + ".example")),
    "half_open": lambda: half_open(COUNT),
    "rapid_reset": lambda: flood(
        lambda n: frame(1, 4, 2 * n + 1, headers(STAT)) + frame(3, 0, 2 * n + 1, b"\0\0\0\x08"),
        COUNT,
    ),
    "continuation": lambda: flood(
        lambda n: frame(1, 0, 1, headers(STAT))
        if n == 0
        else frame(CONTINUATION, 0, 1, field(b"a%06d" % n, b"x" * 100) * 50),
        COUNT,
    ),
    "empty_continuation": lambda: flood(
        lambda n: frame(1, 0, 1, headers(STAT)) if n == 0 else frame(CONTINUATION, 0, 1),
        COUNT,
    ),
    "ping": lambda: flood(lambda n: frame(PING, 0, 0, b"12345678"), COUNT),
    "settings": lambda: flood(lambda n: frame(SETTINGS, 0, 0), COUNT),
    "window_update": lambda: flood(lambda n: frame(WINDOW, 0, 0, b"\0\0\0\x01"), COUNT),
    "empty_data": lambda: flood(
        lambda n: frame(1, 4, 1, headers(STAT)) if n == 0 else frame(0, 0, 1), COUNT
    ),
    "priority": lambda: flood(lambda n: frame(2, 0, 1, b"\0\0\0\0\x10"), COUNT),
    "unknown_frames": lambda: flood(lambda n: frame(0x50, 0, 0, b"x"), COUNT),
    "header_bomb": lambda: flood(
        # One long header, then a thousand references of one byte to it.
        lambda n: frame(
            1,
            5,
            2 * n + 1,
            headers(STAT) + b"\x40\x01a\x7e" + b"x" * 126 + b"\xbe" * 1000,
        ),
        COUNT,
    ),
    "many_streams": lambda: flood(lambda n: frame(1, 4, 2 * n + 1, headers(SESSION)), COUNT),
    "oversized_frame": lambda: flood(
        lambda n: b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + b"x" * 1000, 1
    ),
    "oversized_message": lambda: flood(
        lambda n: frame(1, 4, 1, headers(STAT))
        + frame(0, 0, 1, b"\x00\xff\xff\xff\xff" + b"x" * 1000),
        1,
    ),
    "compressed": lambda: flood(
        lambda n: frame(1, 4, 1, headers(STAT, field(b"grpc-encoding", b"gzip")))
        + frame(0, 1, 1, b"\x01\x00\x00\x00\x10" + b"x" * 16),
        1,
    ),
    "drip": drip,
}

print(json.dumps({"case": CASE, **CASES[CASE]()}))
