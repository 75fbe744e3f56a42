"""A server on loopback for the length of a `with` block."""

import threading
from http.server import ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Its threads end with the program, and many may connect at once."""

    daemon_threads = True
    request_queue_size = 64


class Loopback:
    """Serves while the block lasts; `closing` is set first, so that no handler waits on."""

    def listen(self, handler, server=Server):
        """Take a free port; `url` ends in /v1, as addresses of endpoints do."""
        self.closing = threading.Event()
        self.server = server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
