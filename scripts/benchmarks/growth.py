"""How Shale's costs grow with the work: files, layers, readers, size of a file. One table an axis.

Every image is made here, the same bytes each time, pulled from its layout and measured `rounds` times;
a table shows medians. Nothing is compared with other tools: that is what the rows are for."""

import json
import os
import pathlib
import random
import statistics
import subprocess

from contenders import Shale
from layout import Layout
from machine import Machine, memory, progress, seconds
from rows import find_all, look

FILES = [1_000, 10_000, 100_000, 1_000_000]
LAYERS = [1, 10, 100, 1_000]
READERS = [1, 2, 4, 8, 16]
SIZES = [4 << 10, 64 << 10, 1 << 20, 16 << 20, 128 << 20, 1 << 30]


def files_layer(count: int):
    """`count` small files, a thousand in a directory."""
    chance = random.Random(count)
    for directory in range(max(1, count // 1000)):
        yield f"{directory:04}", None
        for file in range(min(count, 1000)):
            yield f"{directory:04}/{file:03}.data", chance.randbytes(chance.randrange(48))


def layers_of(count: int):
    """Ten files a layer, one of them the same name in every layer."""
    for number in range(count):
        names = [f"layer-{number:04}/{file}" for file in range(9)] + ["common"]
        yield [(name, f"{number} {name}\n".encode()) for name in names]


def big_file(size: int) -> bytes:
    """Text that compresses to about a third."""
    chance = random.Random(size)
    words = [chance.randbytes(6).hex() for _ in range(4096)]
    block = " ".join(chance.choices(words, k=1 << 18)).encode()
    return (block * (size // len(block) + 1))[:size] if size < 16 << 20 else b"".join(
        b"%012d" % number + block for number in range(size // (len(block) + 12) + 1))[:size]


class Growth:
    def __init__(self, machine: Machine, shale: Shale, corpus: Layout, rounds: int):
        self.machine, self.shale, self.corpus, self.rounds = machine, shale, corpus, rounds
        self.made = Layout(machine.scratch / "growth")

    def image(self, tag: str, layers, level: int = 6) -> str:
        """An image of these layers of members, made when it is not there."""
        if not self.made.row(tag):
            progress(f"  making {tag}")
            self.made.tag(tag, [self.made.layer(members, level) for members in layers()])
        return f"oci:{self.made.directory}:{tag}"

    def command(self, *words) -> str:
        return self.machine.output(*self.shale.command, *words)

    def pull(self, image: str) -> float:
        self.shale.reset()
        self.machine.run("sync")
        return seconds(lambda: self.command("pull", "-q", image))

    def median(self, once) -> dict[str, float]:
        """Medians of what `once()` gives, measure by measure."""
        samples = [once() for _ in range(self.rounds)]
        return {name: statistics.median(sample[name] for sample in samples) for name in samples[0]}

    def names(self, image: str) -> dict[str, float]:
        """Pull, mount, find: what depends on the number of names."""
        point = self.shale.point

        def once():
            values = {"pull, s": self.pull(image)}
            mounted = seconds(lambda: (self.command("mount", "-q", image, point), look(point)))
            self.machine.drop_caches()
            values |= {f"find {state}, s": seconds(lambda: find_all(self.machine, point)) for state in ("cold", "warm")}
            server = max(memory(pid)["resident"] for pid in self.machine.servers_of(point))
            tables = sum(self.machine.disk_bytes(self.shale.home / name) for name in ("toc", "tree"))
            self.command("umount", point)
            return {"pull, s": values["pull, s"], "mount and ls, ms": mounted * 1e3, **values,
                    "server, MiB": server / 2**20, "tables, kB": tables / 1e3}

        return self.median(once)

    def by_files(self):
        for count in FILES:
            image = self.image(f"files-{count}", lambda: [files_layer(count)], level=1)
            yield f"{count:,} files", self.names(image)

    def by_layers(self):
        for count in LAYERS:
            yield f"{count:,} layers", self.names(self.image(f"layers-{count}", lambda: layers_of(count)))

    def by_readers(self):
        """All of `node`, by several processes that take the next 64 files each."""
        image, point = f"oci:{self.corpus.directory}:node", self.shale.point
        self.pull(image)
        for readers in READERS:
            def once():
                self.shale.forget_extracted()
                self.command("mount", "-q", image, point)
                self.machine.drop_caches()
                took = seconds(lambda: read_by(readers, point, self.machine))
                stats = json.loads(self.command("stats", "--format", "json"))
                content = stats["Content"]
                self.command("umount", point)
                return {"first read, s": took, "decoded, of what was served": content["bytes_decoded"] / content["bytes_served"],
                        "server, MiB": stats["Memory"] / 2**20}

            yield f"{readers} readers", self.median(once)

    def by_size(self):
        point = self.shale.point
        for size in SIZES:
            image = self.image(f"size-{size}", lambda: [[("file", big_file(size))]], level=1)
            self.pull(image)

            def once():
                self.shale.forget_extracted()
                values = {}
                for name, work in (("4 KiB in the middle, ms", lambda: pread(point / "file", size // 2, 4096)),
                                   ("all, first time, ms", lambda: pread_all(point / "file")),
                                   ("all, again, ms", lambda: pread_all(point / "file"))):
                    if "again" not in name:
                        self.command("mount", "-q", image, point)
                        self.machine.drop_caches()
                    values[name] = seconds(work) * 1e3
                    if "first" not in name:
                        self.command("umount", point)
                return values

            yield f"{size >> 10:,} KiB", self.median(once)

    def markdown(self, head: str) -> str:
        out = ["# What more work costs", "",
               "Made by `scripts/bench --growth docs/growth.md`; medians on this machine:", "", head, ""]
        for title, axis in (("Files in one image", self.by_files), ("Layers of ten files", self.by_layers),
                            ("Readers of all of `node`, files of 1.0 GB, caches dropped", self.by_readers),
                            ("Size of one file, caches dropped", self.by_size)):
            progress(f"{title}:")
            out += [f"## {title}", ""]
            for number, (label, values) in enumerate(axis()):
                progress(f"  {label}: {values}")
                if number == 0:
                    out += ["| | " + " | ".join(values) + " |", "|---|" + "---:|" * len(values)]
                out.append(f"| {label} | " + " | ".join(shown(value) for value in values.values()) + " |")
            out.append("")
        return "\n".join(out)


def shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def read_by(readers: int, point: pathlib.Path, machine: Machine):
    find = subprocess.Popen(["find", point, "-type", "f", "-print0"], stdout=subprocess.PIPE, stderr=machine.log)
    with open(os.devnull, "wb") as nowhere:
        subprocess.run(["xargs", "-0", "-n", "64", "-P", str(readers), "cat"], stdin=find.stdout, stdout=nowhere,
                       stderr=machine.log, check=True)
    find.wait()


def pread(path: pathlib.Path, offset: int, length: int):
    with open(path, "rb", buffering=0) as file:
        if not os.pread(file.fileno(), length, offset):
            raise RuntimeError(f"{path}: nothing at {offset}")


def pread_all(path: pathlib.Path):
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass
