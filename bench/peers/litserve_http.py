"""LitServe: batching behind HTTP, two workers; clients post PNG files over kept connections."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from typing import Any

import litserve

PORT = 18765
#: Requests in flight: enough to fill the batches of both workers.
CLIENTS, THREADS = 2, 48


class Api(litserve.LitAPI):
    """One worker's model."""

    def setup(self, _device: str) -> None:
        from bench.peers.model import DigitModel

        self._model = DigitModel()

    # LitServe's server takes an annotation for a parameter of the URL.
    def decode_request(self, request):  # type: ignore[no-untyped-def]
        return bytes.fromhex(request["png"])

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        return inputs

    def predict(self, batch: list[bytes]) -> list[str]:
        return self._model.read(batch)

    def unbatch(self, output: list[str]) -> list[str]:
        return output

    def encode_response(self, output: str) -> dict[str, str]:
        return {"digit": output}


def serve() -> None:
    server = litserve.LitServer(
        Api(max_batch_size=32, batch_timeout=0.005), accelerator="cpu", workers_per_device=2
    )
    server.run(host="127.0.0.1", port=PORT, generate_client_file=False, log_level="error")


def post(connection: http.client.HTTPConnection, body: bytes) -> bool:
    connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status == 200 and b"digit" in answer.read()


def client(seconds: float, done: Any) -> None:
    from bench.material import digit_files

    bodies = [json.dumps({"png": data.hex()}).encode() for data in digit_files(500)]
    counts: list[int] = []
    until = time.perf_counter() + seconds

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        count = 0
        while time.perf_counter() < until:
            count += post(connection, bodies[count % len(bodies)])
        counts.append(count)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.put(sum(counts))


def measure(seconds: float) -> dict[str, Any]:
    server = subprocess.Popen(
        [sys.executable, "-m", "bench.peers.litserve_http", "serve"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_ready()
        context = multiprocessing.get_context("spawn")
        done = context.Queue()
        clients = [context.Process(target=client, args=(seconds, done)) for _ in range(CLIENTS)]
        for each in clients:
            each.start()
        total = sum(done.get() for _ in clients)
        for each in clients:
            each.join()
    finally:
        os.killpg(server.pid, 15)
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, 9)
            server.wait()
    return {"rate": total / seconds, "items": total, "seconds": seconds}


def _wait_ready() -> None:
    from bench.material import digit_files

    body = json.dumps({"png": digit_files(1)[0].hex()}).encode()
    deadline = time.monotonic() + 180
    while True:
        try:
            if post(http.client.HTTPConnection("127.0.0.1", PORT, timeout=60), body):
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise SystemExit("LitServe did not start")
        time.sleep(0.5)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        print(json.dumps(measure(float(sys.argv[1]))))
