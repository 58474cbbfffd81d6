"""inkmill metrics: the queue's metrics, printed once or served."""

from __future__ import annotations

import signal
import threading

import click

from inkmill.cli.display import say
from inkmill.cli.servers import connection


@click.command()
@click.option(
    "--listen",
    metavar="[HOST:]PORT",
    help="Serve /metrics, /backlog, /livez and /readyz until SIGTERM or Ctrl-C.  "
    "[default: print once]",
)
def metrics(listen: str | None) -> None:
    """Print the queue's metrics in Prometheus's text format, or serve them.

    One process for the whole queue; it needs no worker. Printed, they suit the textfile collector
    of Prometheus's node exporter. Served, /backlog is JSON for an autoscaler: chunks without rows,
    which the length of Redis's lists does not show.
    """
    from inkmill.monitor import Monitor, parse_address, render
    from inkmill.producer.metrics import QueueMetrics, registry

    address = None if listen is None else parse_address(listen)
    queue = QueueMetrics(connection())
    if address is None:
        queue.look()  # an error is said in words here, and is a metric when served
        click.echo(render(registry(queue)).decode(), nl=False)
        return
    monitor = Monitor(
        address,
        registry(queue),
        ready=queue.look,
        documents={"/backlog": queue.backlog},
    )
    stop = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stop.set())
    say("metrics: http://{}:{}/metrics".format(*monitor.address))
    stop.wait()
    monitor.close()
