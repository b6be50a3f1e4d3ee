"""python load.py PORT PATH CONNECTIONS SECONDS: print the answers per second of a local server."""

import sys
import threading
import time
from http.client import HTTPResponse
from socket import create_connection


def ask(port: int, path: str, end: float, counts: list[int]) -> None:
    """Ask, wait for the answer and ask again, on one connection for as long as it is kept."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    count, connection = 0, create_connection(("127.0.0.1", port))
    while time.monotonic() < end:
        connection.sendall(request)
        answer = HTTPResponse(connection)
        answer.begin()
        answer.read()
        if answer.status != 200:
            sys.exit(f"{path}: {answer.status}")
        count += 1
        if answer.will_close:
            connection.close()
            connection = create_connection(("127.0.0.1", port))
    connection.close()
    counts.append(count)


def main() -> None:
    port, path, connections, seconds = sys.argv[1:]
    counts: list[int] = []
    end = time.monotonic() + float(seconds)
    threads = [
        threading.Thread(target=ask, args=(int(port), path, end, counts))
        for _ in range(int(connections))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(counts) < len(threads):
        sys.exit("a connection was refused")
    print(sum(counts) / float(seconds))


if __name__ == "__main__":
    main()
