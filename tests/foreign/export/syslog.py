"""Receives syslog over TLS (RFC 5425): `syslog.py FOLDER PORT`, with `server.pem`, `server.key` and `ca.pem` in the folder; whoever connects
has to have a certificate of that authority. It prints its port, and adds each message, as a parser that others wrote reads it, to
`messages.jsonl`.

Only the count of octets before a message is looked at here. It ends with whoever started it.
"""

import json
import socket
import ssl
import sys
import threading
from pathlib import Path

from syslog_rfc5424_parser import SyslogMessage

FOLDER, PORT = Path(sys.argv[1]), int(sys.argv[2])
LOCK, OUT = threading.Lock(), open(FOLDER / "messages.jsonl", "a", encoding="utf-8")


def parsed(message):
    read = SyslogMessage.parse(message)
    data = {"facility": read.facility.name, "severity": read.severity.name, "host": read.hostname, "app": read.appname}
    return json.dumps({**data, "kind": read.msgid, "data": read.sd, "message": read.msg})


def serve(plain, rules):
    rest = b""
    try:
        with rules.wrap_socket(plain, server_side=True) as connection:
            while more := connection.recv(65536):
                rest += more
                while b" " in rest[:12]:
                    count, after = rest.split(b" ", 1)
                    assert count.isdigit() and not count.startswith(b"0"), count
                    if len(after) < int(count):
                        break
                    message, rest = after[: int(count)], after[int(count) :]
                    with LOCK:
                        print(parsed(message.decode()), file=OUT, flush=True)
    except (ssl.SSLError, OSError) as error:
        print(error, file=sys.stderr)


rules = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
rules.minimum_version = ssl.TLSVersion.TLSv1_2
rules.load_cert_chain(FOLDER / "server.pem", FOLDER / "server.key")
rules.load_verify_locations(FOLDER / "ca.pem")
rules.verify_mode = ssl.CERT_REQUIRED
listener = socket.create_server(("127.0.0.1", PORT))
print(listener.getsockname()[1], flush=True)


def accept():
    while True:
        plain, _ = listener.accept()
        threading.Thread(target=serve, args=(plain, rules), daemon=True).start()


threading.Thread(target=accept, daemon=True).start()
sys.stdin.read()
