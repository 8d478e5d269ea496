"""Memory of relay and consumer under full load: flat after the first minute."""

import time
from statistics import mean

import psutil

from benchmarks import backlog_rows
from benchmarks.effort import Effort
from benchmarks.events import Traced
from benchmarks.ground import broker
from benchmarks.programs import command
from benchmarks.report import Bar, Report
from benchmarks.writers import flood

TEMPLATE_ROWS = 5000
SECONDS = 600.0
PARTS = 10  # minutes, at full length
SAMPLES = 20  # in each part
GROWTH = 0.05


def run(effort: Effort) -> Report:
    """Real Kafka, so that the consumer can lie far behind; fresh events as fast as they go."""
    backlog_rows.make_template(TEMPLATE_ROWS, Traced)
    parts = effort.seconds(SECONDS, least=5.0) / PARTS
    with broker("apache"), command("relay_outbox") as relay, command("run_consumers", "benchmarks") as consumer:
        processes = {"relay": psutil.Process(relay.pid), "consumer": psutil.Process(consumer.pid)}
        with flood(below=TEMPLATE_ROWS):
            sizes = sampled(processes, parts)
    columns = ["process", "second part, MB", "last part, MB", "more"]
    report = Report("memory", f"resident memory in {PARTS} parts of {parts:g} s at full load", columns)
    for name, means in sizes.items():
        growth = means[-1] / means[1] - 1
        report.rows.append([name, means[1], means[-1], f"{growth:+.1%}"])
        report.bars.append(Bar(f"growth of the {name}", growth, GROWTH, "<="))
    return report


def sampled(processes: dict[str, psutil.Process], seconds: float) -> dict[str, list[float]]:
    """The mean resident megabytes of each process in each part."""
    sizes: dict[str, list[float]] = {name: [] for name in processes}
    for _ in range(PARTS):
        samples: dict[str, list[int]] = {name: [] for name in processes}
        for _ in range(SAMPLES):
            time.sleep(seconds / SAMPLES)
            for name, process in processes.items():
                samples[name].append(process.memory_info().rss)
        for name, values in samples.items():
            sizes[name].append(mean(values) / 1024**2)
    return sizes
