"""Writes OCI image layouts: layers are streamed from members to a compressed blob, nothing is unpacked.

Only what the measured images need: gzip layers, one manifest a tag, a base image to grow on."""

import gzip
import hashlib
import io
import json
import pathlib
import tarfile

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
TAG = "org.opencontainers.image.ref.name"
LONG_AGO = 1_700_000_000


class Counting:
    """A file that hashes and counts what is written to it."""

    def __init__(self, file):
        self.file, self.hash, self.size = file, hashlib.sha256(), 0

    def write(self, data):
        self.hash.update(data)
        self.size += len(data)
        return self.file.write(data)

    def flush(self):
        self.file.flush()

    def digest(self) -> str:
        return f"sha256:{self.hash.hexdigest()}"


class Layout:
    def __init__(self, directory: pathlib.Path):
        self.directory = directory
        (directory / "blobs/sha256").mkdir(parents=True, exist_ok=True)
        (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, descriptor: dict) -> pathlib.Path:
        return self.directory / "blobs" / descriptor["digest"].replace(":", "/")

    def rows(self) -> list[dict]:
        index = self.directory / "index.json"
        return json.loads(index.read_text())["manifests"] if index.exists() else []

    def row(self, tag: str) -> dict | None:
        return next((row for row in self.rows() if row.get("annotations", {}).get(TAG) == tag), None)

    def manifest(self, tag: str) -> dict:
        return json.loads(self.blob(self.row(tag)).read_text())

    def put(self, media_type: str, document: dict) -> dict:
        data = json.dumps(document).encode()
        descriptor = {"mediaType": media_type, "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
                      "size": len(data)}
        self.blob(descriptor).write_bytes(data)
        return descriptor

    def layer(self, members, level: int = 6) -> tuple[dict, str]:
        """`members`: (name, bytes), with None for a directory. The layer's descriptor and its DiffID."""
        partial = self.directory / "blobs/partial"
        with open(partial, "wb") as file:
            compressed = Counting(file)
            with gzip.GzipFile(filename="", mode="wb", fileobj=compressed, compresslevel=level, mtime=0) as stream:
                raw = Counting(stream)
                # A stream ("w|") is written as it comes.
                with tarfile.open(fileobj=raw, mode="w|", format=tarfile.GNU_FORMAT) as tar:
                    for name, data in members:
                        header = tarfile.TarInfo(name)
                        header.mtime = LONG_AGO
                        header.type, header.mode = (tarfile.DIRTYPE, 0o755) if data is None else (tarfile.REGTYPE, 0o644)
                        header.size = len(data or b"")
                        tar.addfile(header, io.BytesIO(data) if data else None)
        descriptor = {"mediaType": LAYER, "digest": compressed.digest(), "size": compressed.size}
        partial.rename(self.blob(descriptor))
        return descriptor, raw.digest()

    def tag(self, tag: str, layers: list[tuple[dict, str]], base: str | None = None):
        """Makes `tag`: the layers of `base`, then these."""
        config = {"architecture": "amd64", "os": "linux", "config": {}, "created": "2024-01-01T00:00:00Z",
                  "rootfs": {"type": "layers", "diff_ids": []}, "history": []}
        below = []
        if base:
            manifest = self.manifest(base)
            below, config = manifest["layers"], json.loads(self.blob(manifest["config"]).read_text())
        config["rootfs"]["diff_ids"] += [diff_id for _, diff_id in layers]
        config.setdefault("history", []).extend(
            {"created": "2024-01-01T00:00:00Z", "created_by": f"{tag} {number}"} for number in range(len(layers)))
        manifest = self.put(MANIFEST, {"schemaVersion": 2, "mediaType": MANIFEST, "config": self.put(CONFIG, config),
                                       "layers": below + [descriptor for descriptor, _ in layers]})
        others = [row for row in self.rows() if row.get("annotations", {}).get(TAG) != tag]
        rows = [*others, {**manifest, "annotations": {TAG: tag}}]
        (self.directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": rows}))
