"""usage: scale.py OCI_LAYOUT BASE : adds two generated images to the layout, for scale.

deep: BASE and 120 small layers, each with 51 additions and a whiteout in the layer below, every tenth with an
opaque directory. million: 1,000,000 small files in 1,000 directories, in two layers. The same bytes each time."""

import pathlib
import random
import sys

from layout import Layout


def deep_layer(number: int):
    yield f"srv/step-{number}", None
    for file in range(50):
        yield f"srv/step-{number}/file-{file}", f"layer {number}, file {file}\n".encode()
    if number > 0:
        yield f"srv/step-{number - 1}/.wh.file-{number % 50}", b""
    if number % 10 == 9:
        yield f"srv/step-{number - 5}/.wh..wh..opq", b""
        yield f"srv/step-{number - 5}/alone", b"the rest is hidden\n"


def million_layer(first: int):
    chance = random.Random(first)
    for directory in range(first, first + 500):
        yield f"{directory:03}", None
        for file in range(1000):
            yield f"{directory:03}/{file:03}.data", chance.randbytes(chance.randrange(48))


def main():
    layout = Layout(pathlib.Path(sys.argv[1]))
    layout.tag("deep", [layout.layer(deep_layer(number)) for number in range(120)], base=sys.argv[2])
    layout.tag("million", [layout.layer(million_layer(first), level=1) for first in (0, 500)])


if __name__ == "__main__":
    main()
