"""The images that are measured: the corpus's, and two small ones made here; all in a registry.

`one` holds one file; `big` holds one file of 100 MB that compresses well. Unpacked trees and
squashfs files are made once for each manifest digest and kept in the scratch directory."""

import pathlib
import random

from layout import Layout
from machine import Machine, progress

#: Bytes of the file in `big`.
BIG = 100_000_000


class Images:
    def __init__(self, machine: Machine, corpus: pathlib.Path, registry: str):
        self.machine, self.registry = machine, registry
        self.layouts = [Layout(corpus / "oci"), Layout(machine.scratch / "made")]
        self._make_small(self.layouts[1])
        self._pushed: set[str] = set()

    def _layout(self, tag: str) -> Layout | None:
        return next((layout for layout in self.layouts if layout.row(tag)), None)

    def has(self, tag: str) -> bool:
        return self._layout(tag) is not None

    def source(self, tag: str) -> str:
        return f"oci:{self._layout(tag).directory}:{tag}"

    def digest(self, tag: str) -> str:
        return self._layout(tag).row(tag)["digest"].split(":")[1]

    def blobs(self, tag: str) -> list[pathlib.Path]:
        """The layers' blobs."""
        layout = self._layout(tag)
        return [layout.blob(layer) for layer in layout.manifest(tag)["layers"]]

    def compressed(self, tag: str) -> int:
        """Bytes of all layers as the registry has them; one that stands twice counts once."""
        return sum(blob.stat().st_size for blob in set(self.blobs(tag)))

    def reference(self, tag: str) -> str:
        """The image in the registry, pushed there when it is not yet."""
        reference = f"{self.registry}/bench/{tag}:latest"
        if tag not in self._pushed:
            progress(f"  pushing {tag} to the registry")
            self.machine.run("skopeo", "--insecure-policy", "copy", "-q", "--dest-tls-verify=false",
                             self.source(tag), f"docker://{reference}")
            self._pushed.add(tag)
        return reference

    def tree(self, tag: str) -> pathlib.Path:
        """The image unpacked on the scratch directory's file system."""
        bundle = self.machine.scratch / "trees" / f"{tag}-{self.digest(tag)[:12]}"
        if not (bundle / "done").exists():
            progress(f"  unpacking {tag}")
            self.machine.fresh(bundle)
            bundle.rmdir()
            self.machine.run("umoci", "unpack", "--image", self.source(tag).removeprefix("oci:"), bundle)
            (bundle / "done").touch()
        return bundle / "rootfs"

    def squashfs(self, tag: str) -> pathlib.Path:
        file = self.machine.scratch / "trees" / f"{tag}-{self.digest(tag)[:12]}.squashfs"
        if not file.exists():
            tree = self.tree(tag)
            progress(f"  packing {tag} as squashfs")
            self.machine.run("mksquashfs", tree, f"{file}.part", "-noappend", "-no-progress", "-quiet")
            pathlib.Path(f"{file}.part").rename(file)
        return file

    def _make_small(self, layout: Layout):
        if layout.row("big"):
            return
        chance = random.Random(1)
        words = [chance.randbytes(6).hex() for _ in range(4096)]
        big = " ".join(chance.choices(words, k=8_000_000)).encode()[:BIG]
        layout.tag("one", [layout.layer([("hello", b"one file\n")])])
        layout.tag("big", [layout.layer([("big", big)])])
