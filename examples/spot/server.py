"""A server that can do so much and no more: two requests at a time, of fifty milliseconds each."""

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

places = threading.Semaphore(2)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # Keeps connections open.

    def do_GET(self):
        if self.path != "/healthz":
            with places:
                time.sleep(0.05)
        body = f"process {os.getpid()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass  # The gateway has an access log.


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


file, instance, owner, fleet, revision, pool = sys.argv[1:]
# As long as a machine takes to boot, in a small world.
time.sleep(float(os.environ.get("TIDEGATE_EXAMPLE_BOOT", "2")))
server = Server(("127.0.0.1", 0), Handler)
tags = {
    "instance": instance,
    "owner": owner,
    "fleet": fleet,
    "revision": revision,
    "pool": pool or None,
    "endpoint": f"127.0.0.1:{server.server_port}",
    "leaving": False,
    "pid": os.getpid(),
}
with open(file + ".new", "w") as out:
    out.write(json.dumps(tags, separators=(",", ":")) + "\n")
os.rename(file + ".new", file)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
server.serve_forever()
