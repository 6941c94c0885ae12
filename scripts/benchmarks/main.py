"""Puts machine, images, contenders and rows together; started by scripts/bench, which explains the options."""

import argparse
import pathlib
import sys

import contenders
import machine
from growth import Growth
from images import Images
from layout import Layout
from results import Results
from rows import ROWS, Bench

ALWAYS = [contenders.Native, contenders.Skopeo, contenders.Floor]
PEERS = [contenders.Podman, contenders.Umoci, contenders.Overlayfs, contenders.FuseOverlayfs, contenders.Squashfuse]
ON_REQUEST = [contenders.Docker, contenders.Composefs]


def names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", usage="see scripts/bench --help")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--shale")
    parser.add_argument("--registry")
    parser.add_argument("--corpus", type=pathlib.Path)
    parser.add_argument("--scratch", type=pathlib.Path)
    parser.add_argument("--only", type=names, default=list(ROWS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--with", type=names, default=[], dest="added")
    parser.add_argument("--without", type=names, default=[])
    parser.add_argument("--growth", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--markdown", type=pathlib.Path)
    options = parser.parse_args()
    unknown = [name for name in options.only if name not in ROWS]
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)}; there are {', '.join(ROWS)}")
    return options


def main() -> int:
    options = arguments()
    if options.list:
        for name, (work, image) in ROWS.items():
            print(f"{name:14} image {image or '-':8} {(work.__doc__ or '').splitlines()[0] if work.__doc__ else ''}")
        return 0
    here = machine.Machine(options.scratch)
    images = Images(here, options.corpus, options.registry)
    wanted = ALWAYS + [peer for peer in PEERS if peer.name not in options.without]
    wanted += [peer for peer in ON_REQUEST if peer.name in options.added]
    chosen = {kind.name: kind(here, images) for kind in wanted}
    chosen["shale"] = contenders.Shale(here, images, options.shale)
    results = Results()
    bench = Bench(here, images, chosen, options.rounds, results)
    about = machine.describe(options.shale, options.scratch)
    if options.growth:
        growth = Growth(here, chosen["shale"], Layout(options.corpus / "oci"), options.rounds)
        options.growth.write_text(growth.markdown(results.head(about)))
        return 0
    output = options.json or options.scratch / "bench.json"
    for name in options.only:
        work, image = ROWS[name]
        if image is not None and not images.has(image):
            results.notes.append(f"{name}: the corpus has no image {image}")
            continue
        machine.progress(f"{name}:")
        work(bench)
        output.write_text(results.as_json(about))  # after each row, so that a broken run leaves what it has
    results.print_all(about)
    if options.markdown:
        options.markdown.write_text(results.markdown(about))
    machine.progress(f"samples: {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
