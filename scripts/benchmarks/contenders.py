"""The tools that are measured, each as the same few verbs: pull, mount, unmount, reset.

A contender keeps everything in its own directory of the scratch directory. `pull` begins with nothing
after `reset`; `ensure` does whatever must have happened before `mount`, untimed. `mount` gives the directory
where the image's files are."""

import atexit
import os
import pathlib
import shutil
import subprocess
import time

from images import Images
from machine import Machine


class Contender:
    name = ""
    #: Whether its files are served by a process whose memory can be measured.
    has_server = False
    #: Whether a first read leaves something that makes the first read of the next mount cheaper.
    keeps_extracted = False

    def __init__(self, machine: Machine, images: Images):
        self.machine, self.images = machine, images
        self.home = machine.scratch / self.name
        self.point = machine.scratch / "mnt" / self.name
        self.point.mkdir(parents=True, exist_ok=True)
        self.home.mkdir(parents=True, exist_ok=True)

    def reset(self):
        self.machine.fresh(self.home)

    def ensure(self, tag: str):
        pass

    def forget_extracted(self):
        """Back to the state before anything was read through a mount."""

    def unmount(self, tag: str):
        self.machine.run("umount", self.point)

    def download(self, tag: str):
        """The image from the registry into an OCI layout of the contender's own."""
        self.machine.run("skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false",
                         f"docker://{self.images.reference(tag)}", f"oci:{self.home}/oci:{tag}")


class Shale(Contender):
    name = "shale"
    has_server = True
    keeps_extracted = True

    def __init__(self, machine, images, binary: str):
        super().__init__(machine, images)
        self.binary = binary
        self.command = [binary, "--root", str(self.home)]
        self.stored: set[str] = set()
        self.reset()

    def reset(self):
        super().reset()
        self.stored.clear()

    def pull(self, tag):
        self.machine.run(*self.command, "pull", "-q", self.images.reference(tag))
        self.stored.add(tag)

    def ensure(self, tag):
        if tag not in self.stored:
            self.pull(tag)

    def forget_extracted(self):
        if (self.home / "content").exists():
            self.machine.run("find", self.home / "content", "-type", "f", "-delete")

    def mount(self, tag) -> pathlib.Path:
        self.machine.run(*self.command, "mount", self.images.reference(tag), self.point)
        return self.point

    def unmount(self, tag):
        self.machine.run(*self.command, "umount", self.point)


class Native(Contender):
    """The unpacked tree itself, on the scratch directory's file system."""

    name = "native"

    def ensure(self, tag):
        self.images.tree(tag)

    def mount(self, tag):
        return self.images.tree(tag)

    def unmount(self, tag):
        pass


class Overlayfs(Contender):
    """The kernel's overlay over the unpacked tree, with an empty upper directory, as a container has it."""

    name = "overlayfs"
    program = ["mount", "-t", "overlay", "overlay"]

    def ensure(self, tag):
        self.images.tree(tag)
        self.machine.fresh(self.home)
        for name in ("upper", "work"):
            (self.home / name).mkdir()

    def mount(self, tag):
        options = f"lowerdir={self.images.tree(tag)},upperdir={self.home}/upper,workdir={self.home}/work"
        self.machine.run(*self.program, "-o", options, self.point)
        return self.point


class FuseOverlayfs(Overlayfs):
    name = "fuse-overlayfs"
    program = ["fuse-overlayfs"]
    has_server = True


class Squashfuse(Contender):
    name = "squashfuse"
    has_server = True

    def ensure(self, tag):
        self.images.squashfs(tag)

    def mount(self, tag):
        self.machine.run("squashfuse", self.images.squashfs(tag), self.point)
        return self.point


class Podman(Contender):
    name = "podman"

    def __init__(self, machine, images):
        super().__init__(machine, images)
        self.command = ["podman", "--root", str(self.home / "root"), "--runroot", str(self.home / "run"),
                        "--storage-driver", "overlay"]
        self.stored: set[str] = set()
        self.reset()

    def reset(self):
        super().reset()
        self.stored.clear()

    def pull(self, tag):
        self.machine.run(*self.command, "pull", "-q", "--tls-verify=false", self.images.reference(tag))
        self.stored.add(tag)

    def ensure(self, tag):
        if tag not in self.stored:
            self.pull(tag)

    def mount(self, tag):
        said = self.machine.output(*self.command, "image", "mount", self.images.reference(tag))
        return pathlib.Path(said.strip().splitlines()[-1])

    def unmount(self, tag):
        self.machine.run(*self.command, "image", "unmount", self.images.reference(tag))


class Umoci(Contender):
    """skopeo copy into an OCI layout, then umoci unpack."""

    name = "umoci"

    def pull(self, tag):
        self.download(tag)
        self.machine.run("umoci", "unpack", "--image", f"{self.home}/oci:{tag}", self.home / "bundle")


class Skopeo(Contender):
    """The download alone, into an OCI layout."""

    name = "skopeo"

    def pull(self, tag):
        self.download(tag)


class Floor(Contender):
    """Download, then inflate every layer to nowhere on all cores with the fastest inflate there is:
    what nobody who reads the layers can be much faster than."""

    name = "floor"

    def pull(self, tag):
        self.download(tag)
        inflate = "libdeflate-gunzip" if shutil.which("libdeflate-gunzip") else "gzip -d"
        blobs = " ".join(f"'{blob}'" for blob in self.images.blobs(tag))
        self.machine.run("sh", "-c", f"printf '%s\\n' {blobs} | xargs -P {os.cpu_count()} -I% "
                                     f"sh -c '{inflate} -c < % > /dev/null'")


class Docker(Contender):
    """A dockerd of its own, without networks; started once and stopped at exit."""

    name = "docker"

    def __init__(self, machine, images):
        super().__init__(machine, images)
        self.reset()
        self.socket = f"unix://{self.home}/sock"
        registry = images.registry
        self.daemon = subprocess.Popen(
            ["dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none",
             f"--data-root={self.home}/data", f"--exec-root={self.home}/exec", "-H", self.socket,
             "-p", f"{self.home}/pid", f"--insecure-registry={registry}"],
            stdin=subprocess.DEVNULL, stdout=machine.log, stderr=machine.log)
        atexit.register(self._stop)
        self._wait()

    def _wait(self):
        for _ in range(100):
            if pathlib.Path(f"{self.home}/sock").exists():
                return
            time.sleep(0.1)
        raise TimeoutError("dockerd does not answer")

    def _stop(self):
        self.daemon.terminate()
        self.daemon.wait()

    def reset(self):
        if not hasattr(self, "daemon"):
            return super().reset()
        self.machine.run("docker", "-H", self.socket, "image", "prune", "-af")

    def pull(self, tag):
        self.machine.run("docker", "-H", self.socket, "pull", "-q", self.images.reference(tag))


class Composefs(Contender):
    """skopeo copy into an OCI layout, then composefs' own import and mount (EROFS and overlayfs).

    The program comes from crates.io and takes minutes to build, once for a scratch directory."""

    name = "composefs"

    def __init__(self, machine, images):
        super().__init__(machine, images)
        tools = machine.scratch / "tools"
        self.program = shutil.which("cfsctl") or tools / "bin" / "cfsctl"
        if not pathlib.Path(self.program).exists():
            machine.run("cargo", "install", "--quiet", "composefs-ctl", "--no-default-features", "--features", "oci",
                        "--root", tools)
        self.stored: set[str] = set()
        self.reset()

    def cfsctl(self, *words):
        self.machine.run(self.program, "--repo", self.home / "repo", *words)

    def reset(self):
        super().reset()
        self.stored.clear()
        # Without fs-verity, which not every file system has.
        self.machine.run(self.program, "init", "--insecure", self.home / "repo")

    def pull(self, tag):
        self.download(tag)
        self.cfsctl("oci", "pull", f"oci:{self.home}/oci:{tag}", tag)
        self.stored.add(tag)

    def ensure(self, tag):
        if tag not in self.stored:
            self.pull(tag)

    def mount(self, tag):
        self.cfsctl("oci", "mount", tag, self.point)
        return self.point
