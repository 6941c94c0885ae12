"""What every row relies on: running commands, dropping caches, mounts that always go away again.

Guarantees that whatever was mounted below the scratch directory is unmounted at exit. Every command's
output goes to one log file, so that a server that stays in the background holds no pipe open."""

import atexit
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

#: Where the measured tools come from.
PACKAGES = ["podman", "umoci", "skopeo", "docker.io", "fuse-overlayfs", "squashfuse", "docker-registry"]


class Failed(RuntimeError):
    """A command that did not succeed, with the end of the log."""


class Machine:
    def __init__(self, scratch: pathlib.Path):
        self.scratch = scratch
        self.log_path = scratch / "log"
        self.log = open(self.log_path, "wb")
        self.unmount_below(scratch)
        atexit.register(self.unmount_below, scratch)

    def run(self, *command, cwd=None):
        """Runs to the end; raises Failed unless it succeeded."""
        command = [os.fspath(part) for part in command]
        self.log.write(("$ " + " ".join(command) + "\n").encode())
        self.log.flush()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd=cwd)
        if done.returncode != 0:
            tail = self.log_path.read_bytes()[-600:].decode(errors="replace")
            raise Failed(f"{' '.join(command)}: exit {done.returncode}\n{tail}")

    def output(self, *command) -> str:
        done = subprocess.run(
            [os.fspath(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=self.log, text=True)
        if done.returncode != 0:
            raise Failed(f"{' '.join(map(str, command))}: exit {done.returncode}, see {self.log_path}")
        return done.stdout

    def drop_caches(self):
        """Pages, names and inodes of every file system, as far as the kernel can."""
        os.sync()
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")

    def mounts_below(self, directory: pathlib.Path) -> list[str]:
        found = []
        for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
            path = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), line.split(" ")[4])
            if path == str(directory) or path.startswith(f"{directory}/"):
                found.append(path)
        return found

    def unmount_below(self, directory: pathlib.Path):
        for path in reversed(self.mounts_below(directory)):
            if subprocess.run(["umount", path], stderr=self.log).returncode != 0:
                subprocess.run(["umount", "-l", path], stderr=self.log)

    def fresh(self, directory: pathlib.Path) -> pathlib.Path:
        """An empty directory, never deleting across a mount."""
        self.unmount_below(directory)
        if directory.exists():
            self.run("rm", "-rf", "--one-file-system", directory)
        directory.mkdir(parents=True)
        return directory

    def disk_bytes(self, directory: pathlib.Path) -> int:
        return int(self.output("du", "-sx", "--block-size=1", directory).split()[0])

    def servers_of(self, directory: pathlib.Path) -> list[int]:
        """Processes that have this mount point in their arguments."""
        pids = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and str(directory).encode() in (entry / "cmdline").read_bytes():
                    pids.append(int(entry.name))
            except OSError:
                pass  # it ended meanwhile
        return [pid for pid in pids if pid != os.getpid()]


def seconds(work) -> float:
    """How long `work()` takes."""
    start = time.monotonic_ns()
    work()
    return (time.monotonic_ns() - start) / 1e9


def memory(pid: int) -> dict[str, int]:
    """Resident bytes of a process: now, of that not backed by files, and at most ever."""
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    field = lambda text, name: int(re.search(rf"^{name}:\s+(\d+) kB", text, re.M)[1]) * 1024
    return {"resident": field(rollup, "Rss"), "anonymous": field(rollup, "Anonymous"),
            "peak": field(status, "VmHWM")}


def describe(shale: str, scratch: pathlib.Path) -> dict:
    """Machine and versions, for the head of the report."""
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", cpuinfo, re.M)
    release = pathlib.Path("/etc/os-release").read_text()
    said = subprocess.run([shale, "--version"], capture_output=True, text=True).stdout.split()
    versions = {"shale": said[-1] if said else "?"}
    for package in PACKAGES:
        query = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True)
        if query.returncode == 0 and query.stdout:
            versions[package] = query.stdout
    kind = subprocess.run(["findmnt", "-no", "FSTYPE", "-T", scratch], capture_output=True, text=True).stdout.strip()
    return {
        "processor": model[1] if model else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "system": re.search(r'^PRETTY_NAME="?([^"\n]*)', release, re.M)[1],
        "file_system": kind,
        "load_at_start": round(os.getloadavg()[0], 1),
        "versions": versions,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def progress(text: str):
    print(text, file=sys.stderr, flush=True)
