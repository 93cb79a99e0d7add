"""A port at which whoever connects is told the same bytes, whatever they say."""

import socketserver
import threading
from contextlib import contextmanager


@contextmanager
def answering(words):
    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.rfile.readline()
            self.wfile.write(words)

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()
