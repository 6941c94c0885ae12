"""Samples, their medians, the targets, and how they are printed.

A target compares Shale's median with a number or with another contender's median of the same run; one
whose rows were not run is not judged."""

import dataclasses
import json
import statistics


@dataclasses.dataclass
class Target:
    text: str
    measure: str
    image: str
    limit: float
    #: None: the limit is absolute.
    against: str | None = None


TARGETS = [
    Target("pull node: 0.30 x podman", "pull", "node", 0.30, "podman"),
    Target("pull node: 1.3 x download and inflate", "pull", "node", 1.3, "floor"),
    Target("store after the pull: 1.05 x compressed", "store", "node", 1.05),
    Target("mount to first ls, 1 file: 5 ms", "mount", "one", 0.005),
    Target("mount to first ls, node: 5 ms", "mount", "node", 0.005),
    Target("mount to first ls, 1,000,000 files: 5 ms", "mount", "million", 0.005),
    Target("pull 1,000,000 files: 4 s", "pull", "million", 4.0),
    Target("find 1,000,000 files, cold: 0.35 x overlayfs", "find cold", "million", 0.35, "overlayfs"),
    Target("find 1,000,000 files, warm: 0.65 x overlayfs", "find warm", "million", 0.65, "overlayfs"),
    Target("pull 121 layers: 0.6 s", "pull", "deep", 0.6),
    Target("find cold: 1.0 x native", "find cold", "node", 1.0, "native"),
    Target("find warm: 1.0 x native", "find warm", "node", 1.0, "native"),
    Target("read all, first time: 0.8 x native cold", "read cold", "node", 0.8, "native"),
    Target("read all, warm: 1.05 x native", "read warm", "node", 1.05, "native"),
    Target("random 4 KiB in a cold 100 MB file: 5 ms", "random 4 KiB", "big", 0.005),
    Target("server after reading all, node: 24 MiB", "memory after read, resident", "node", 24),
    Target("server after reading all, 1,000,000 files: 48 MiB", "memory after read, resident", "million", 48),
    Target("shale --version: 3 ms", "start", "-", 0.003),
]


def unit(measure: str) -> str:
    if measure == "store":
        return "x compressed"
    return "MiB" if measure.startswith("memory") else "s"


def shown(measure: str, value: float) -> str:
    if unit(measure) == "s" and value < 0.1:
        return f"{value * 1000:.1f} ms"
    return f"{value:.2f} {unit(measure)}" if value < 100 else f"{value:.0f} {unit(measure)}"


class Results:
    def __init__(self):
        self.samples: dict[tuple[str, str], dict[str, list[float]]] = {}
        self.notes: list[str] = []

    def add(self, measure: str, image: str, contender: str, value: float):
        self.samples.setdefault((measure, image), {}).setdefault(contender, []).append(value)

    def note(self, row: str, image: str, contender: str, text: str):
        self.notes.append(f"{row} {image}: {contender} could not: {text.strip()}")

    def median(self, measure: str, image: str, contender: str) -> float | None:
        values = self.samples.get((measure, image), {}).get(contender)
        return statistics.median(values) if values else None

    def judged(self):
        """(target, measured value or ratio, met) of every target that can be judged."""
        for target in TARGETS:
            own = self.median(target.measure, target.image, "shale")
            other = self.median(target.measure, target.image, target.against) if target.against else 1.0
            if own is not None and other:
                yield target, own / other, own / other <= target.limit

    def table(self) -> list[list[str]]:
        """One line a measure and contender: what, image, who, median, range, samples, Shale's ratio to it."""
        lines = []
        for (measure, image), contenders in self.samples.items():
            own = self.median(measure, image, "shale")
            for name, values in contenders.items():
                median = statistics.median(values)
                ratio = "" if name == "shale" or own is None or not median else f"{own / median:.2f}"
                spread = f"{min(values):.4g} .. {max(values):.4g}"
                lines.append([measure, image, name, shown(measure, median), spread, str(len(values)), ratio])
        return lines

    def print_all(self, machine: dict):
        print(self.head(machine) + "\n")
        lines = [["what", "image", "who", "median", "range", "n", "shale/it"], *self.table()]
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        for previous, line in zip([lines[0], *lines], lines):
            if previous[:2] != line[:2]:
                print()
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
        print("\ntarget" + " " * 48 + "measured")
        for target, value, met in self.judged():
            measured = f"{value:.2f} x {target.against}" if target.against else shown(target.measure, value)
            print(f"{target.text:52}  {measured:20} {'met' if met else 'MISSED'}")
        if machine["load_at_start"] > 0.5:
            print(f"note: the machine was busy (load {machine['load_at_start']}): times are too long and uneven")
        for note in self.notes:
            print(f"note: {note}")

    def head(self, machine: dict) -> str:
        versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        return (f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Linux "
                f"{machine['kernel']}, {machine['system']}, {machine['file_system']}, {machine['date']}\n{versions}")

    def markdown(self, machine: dict) -> str:
        """A line a measure: Shale's median, then each other's with Shale's ratio to it."""
        out = [self.head(machine), "", "| what | image | Shale | others (Shale takes so many times theirs) |",
               "|---|---|---|---|"]
        for (measure, image), contenders in self.samples.items():
            own = self.median(measure, image, "shale")
            if own is None:
                continue
            others = [f"{name} {shown(measure, value)} ({own / value:.2f})" for name, values in contenders.items()
                      if name != "shale" and (value := statistics.median(values))]
            out.append(f"| {measure} | {image} | {shown(measure, own)} | {', '.join(others)} |")
        return "\n".join(out) + "\n"

    def as_json(self, machine: dict) -> str:
        rows = [{"measure": measure, "image": image, "unit": unit(measure), "contender": name,
                 "median": statistics.median(values), "samples": values}
                for (measure, image), contenders in self.samples.items() for name, values in contenders.items()]
        targets = [{"target": target.text, "measured": value, "limit": target.limit, "met": met}
                   for target, value, met in self.judged()]
        return json.dumps({"machine": machine, "rows": rows, "targets": targets, "notes": self.notes}, indent=1)
