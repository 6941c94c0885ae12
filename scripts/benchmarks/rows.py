"""What is measured. A row is a function that runs its contenders in turn, round after round, and adds
samples to the results; the targets say which ratios count.

Cold means: mounted anew, then all caches dropped. Warm means: the same again at once."""

import os
import pathlib
import random
import shutil
import subprocess
import time

from contenders import Contender
from images import BIG
from machine import Machine, memory, progress, seconds
from results import Results

#: After a sample as long as this, a contender is not asked again in the same row.
PATIENCE = 60.0


class Bench:
    """What rows work with."""

    def __init__(self, machine: Machine, images, contenders: dict[str, Contender], rounds: int, results: Results):
        self.machine, self.images, self.contenders = machine, images, contenders
        self.rounds, self.results = rounds, results

    def chosen(self, *names: str) -> list[Contender]:
        return [self.contenders[name] for name in names if name in self.contenders]

    def in_turn(self, row: str, tag: str, contenders: list[Contender], work, rounds=None):
        """`work(contender)` gives {measure: value}; a contender that fails is noted and left out."""
        impatient = set()
        for round_number in range(rounds or self.rounds):
            for contender in contenders:
                if contender.name in impatient:
                    continue
                began = time.monotonic()
                try:
                    values = work(contender)
                except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                    self.machine.unmount_below(contender.point)
                    self.results.note(row, tag, contender.name, str(error)[-300:])
                    impatient.add(contender.name)
                    continue
                for measure, value in values.items():
                    self.results.add(measure, tag, contender.name, value)
                shown = ", ".join(f"{measure} {value:.4g}" for measure, value in values.items())
                progress(f"  {row} {tag} {round_number + 1}: {contender.name}: {shown}")
                if time.monotonic() - began > PATIENCE:
                    impatient.add(contender.name)


# ---- pull ------------------------------------------------------------------------------------


def pull(bench: Bench, tag: str, *names: str):
    """From the registry to where the image can be mounted, beginning with nothing."""
    bench.images.reference(tag)

    def work(contender):
        contender.reset()
        bench.machine.run("sync")
        values = {"pull": seconds(lambda: contender.pull(tag))}
        bench.machine.run("sync")
        compressed = bench.images.compressed(tag)
        if contender.name not in ("floor", "skopeo"):
            values["store"] = bench.machine.disk_bytes(contender.home) / compressed
        return values

    bench.in_turn("pull", tag, bench.chosen(*names), work)


def pull_node(bench):
    pull(bench, "node", "shale", "podman", "umoci", "docker", "composefs", "skopeo", "floor")


def pull_deep(bench):
    pull(bench, "deep", "shale", "podman", "umoci", "docker", "composefs", "skopeo")


def pull_million(bench):
    pull(bench, "million", "shale", "podman", "umoci", "docker", "composefs", "skopeo", "floor")


# ---- mount -----------------------------------------------------------------------------------


def look(directory: pathlib.Path):
    """What a first `ls -l` asks."""
    with os.scandir(directory) as entries:
        for entry in entries:
            entry.stat(follow_symlinks=False)


def mount(bench: Bench, tag: str, *names: str):
    """From the command to the end of the first listing of the root directory."""

    def work(contender):
        contender.ensure(tag)
        took = seconds(lambda: look(contender.mount(tag)))
        contender.unmount(tag)
        return {"mount": took}

    bench.in_turn("mount", tag, bench.chosen(*names), work, rounds=bench.rounds * 5)


def mount_one(bench):
    mount(bench, "one", "shale", "overlayfs", "composefs", "podman", "fuse-overlayfs", "squashfuse")


def mount_node(bench):
    mount(bench, "node", "shale", "overlayfs", "composefs", "podman", "fuse-overlayfs", "squashfuse")


def mount_million(bench):
    mount(bench, "million", "shale", "overlayfs", "composefs")


# ---- find and read ---------------------------------------------------------------------------


def find_all(machine: Machine, directory: pathlib.Path):
    """Every name with its attributes."""
    with open(os.devnull, "wb") as nowhere:
        subprocess.run(["find", directory, "-printf", "%s %m %u\n"], stdout=nowhere, stderr=machine.log, check=True)


def read_all(machine: Machine, directory: pathlib.Path):
    """Every byte of every regular file, in the order of the directories. (GNU tar would not read at
    all if it saw /dev/null as its archive.)"""
    find = subprocess.Popen(["find", directory, "-type", "f", "-print0"], stdout=subprocess.PIPE, stderr=machine.log)
    with open(os.devnull, "wb") as nowhere:
        subprocess.run(["xargs", "-0", "-n", "512", "cat"], stdin=find.stdout, stdout=nowhere,
                       stderr=machine.log, check=True)
    if find.wait() != 0:
        raise RuntimeError(f"find {directory} failed")


def read_shuffled(machine: Machine, directory: pathlib.Path):
    """The same in an order that has nothing to do with the layers'."""
    names = machine.output("find", directory, "-type", "f", "-print0").split("\0")[:-1]
    names.sort()
    random.Random(7).shuffle(names)
    with open(os.devnull, "wb") as nowhere:
        subprocess.run(["xargs", "-0", "-n", "512", "cat"], input="\0".join(names), text=True, stdout=nowhere,
                       stderr=machine.log, check=True)


def cold_and_warm(bench: Bench, row: str, work_on, tag: str, *names: str):
    def one_mount(contender, suffix=""):
        directory = contender.mount(tag)
        bench.machine.drop_caches()
        values = {f"{row} {state}{suffix}": seconds(lambda: work_on(bench.machine, directory))
                  for state in ("cold", "warm")}
        if contender.has_server and not suffix:
            values |= server_memory(bench, contender, row)
        contender.unmount(tag)
        return values

    def work(contender):
        contender.ensure(tag)
        contender.forget_extracted()
        values = one_mount(contender)
        if contender.keeps_extracted and row == "read":
            values |= one_mount(contender, " again")
        return values

    bench.in_turn(row, tag, bench.chosen(*names), work)


def server_memory(bench: Bench, contender: Contender, row: str) -> dict[str, float]:
    usages = [memory(pid) for pid in bench.machine.servers_of(contender.point)]
    if not usages:
        raise RuntimeError(f"no process serves {contender.point}")
    return {f"memory after {row}, {kind}": sum(usage[kind] for usage in usages) / 2**20 for kind in usages[0]}


PEERS = ("shale", "native", "overlayfs", "composefs", "podman", "fuse-overlayfs", "squashfuse")


def find_node(bench):
    cold_and_warm(bench, "find", find_all, "node", *PEERS)


def find_million(bench):
    cold_and_warm(bench, "find", find_all, "million", "shale", "native", "overlayfs", "composefs")


def read_node(bench):
    cold_and_warm(bench, "read", read_all, "node", *PEERS)


def read_million(bench):
    cold_and_warm(bench, "read", read_all, "million", "shale", "native")


def read_node_shuffled(bench):
    cold_and_warm(bench, "read shuffled", read_shuffled, "node", "shale", "native", "overlayfs")


# ---- one read, one start ---------------------------------------------------------------------


def random_read(bench: Bench):
    """4 KiB at a random place of a 100 MB file that nobody has touched since the mount."""
    places = random.Random(4)

    def work(contender):
        contender.ensure("big")
        contender.forget_extracted()
        directory = contender.mount("big")
        bench.machine.drop_caches()
        offset = places.randrange(0, BIG - 4096)
        start = time.monotonic_ns()
        with open(directory / "big", "rb", buffering=0) as file:
            if len(os.pread(file.fileno(), 4096, offset)) != 4096:
                raise RuntimeError("a short read")
        took = (time.monotonic_ns() - start) / 1e9
        contender.unmount("big")
        return {"random 4 KiB": took}

    names = ("shale", "native", "overlayfs", "fuse-overlayfs", "squashfuse")
    bench.in_turn("random", "big", bench.chosen(*names), work, rounds=bench.rounds * 5)


def start(bench: Bench):
    """From exec to the end of `--version`; `true` shows what any process costs."""

    def work(command):
        took = seconds(lambda: os.waitpid(os.posix_spawn(command[0], command, os.environ, file_actions=[
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]), 0))
        return took

    commands = {"shale": [bench.contenders["shale"].binary, "--version"], "true": [shutil.which("true")]}
    if "podman" in bench.contenders:
        commands["podman"] = [shutil.which("podman"), "--version"]
    for _ in range(bench.rounds * 10):
        for name, command in commands.items():
            bench.results.add("start", "-", name, work(command))


#: Row name: (what runs, the image it needs).
ROWS = {
    "start": (start, None),
    "pull": (pull_node, "node"),
    "pull-deep": (pull_deep, "deep"),
    "pull-million": (pull_million, "million"),
    "mount-one": (mount_one, "one"),
    "mount": (mount_node, "node"),
    "mount-million": (mount_million, "million"),
    "find": (find_node, "node"),
    "find-million": (find_million, "million"),
    "read": (read_node, "node"),
    "read-million": (read_million, "million"),
    "read-shuffled": (read_node_shuffled, "node"),
    "random": (random_read, "big"),
}
