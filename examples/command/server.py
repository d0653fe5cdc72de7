"""A server that knows nothing of Tidegate: it takes a port and answers requests on it."""

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # Keeps connections open.

    def do_GET(self):
        text = "ready\n" if self.path == "/healthz" else f"process {os.getpid()} answers {self.path}\n"
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass  # The gateway has an access log.


class Server(ThreadingHTTPServer):
    daemon_threads = True  # Open connections do not keep it from ending.
    request_queue_size = 128


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
