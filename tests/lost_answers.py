"""A way to a PostgreSQL on which an answer gets lost: the server has committed, and who asked is not told."""

import socket
import threading
from contextlib import contextmanager, suppress

from sqlalchemy.engine import make_url


class Proxy:
    """Passes on what a client and the server say, but once not what follows the COMMIT of a certain statement."""

    def __init__(self, url, statement):
        self._to, self._statement = make_url(url), statement.encode()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open = [self._listener]
        self.lost = 0
        changed = self._to.update_query_dict({"sslmode": "disable"}).difference_update_query(["host", "port"])
        here = changed.set(host="127.0.0.1", port=self._listener.getsockname()[1])
        self.url = here.render_as_string(hide_password=False)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = self._connected()
                self._open += [client, server]
                losing = threading.Event()
                threading.Thread(target=self._ask, args=(client, server, losing), daemon=True).start()
                threading.Thread(target=self._answer, args=(client, server, losing), daemon=True).start()

    def _connected(self):
        host, port = self._to.query.get("host") or self._to.host, self._to.port or self._to.query.get("port") or 5432
        if not host.startswith("/"):
            return socket.create_connection((host, int(port)))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server

    def _ask(self, client, server, losing):
        said = False
        with suppress(OSError):
            while data := client.recv(1 << 16):
                said = said or self._statement in data
                if said and not self.lost and b"COMMIT" in data:
                    losing.set()
                server.sendall(data)

    def _answer(self, client, server, losing):
        with suppress(OSError):
            while data := server.recv(1 << 16):
                if losing.is_set() and b"COMMIT" in data:
                    self.lost += 1
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)


@contextmanager
def losing_an_answer(url, statement):
    """Give a proxy at whose `url` the server answers, but once not to the COMMIT after this part of a statement."""
    proxy = Proxy(url, statement)
    try:
        yield proxy
    finally:
        proxy.close()
