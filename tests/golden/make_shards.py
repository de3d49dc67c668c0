"""Writes tests/golden/dataio/shards: the same samples as Python packs them in each of tar's forms.

Needs nothing but Python; run from the root of the repository:

    python tests/golden/make_shards.py
"""

import io
import json
import tarfile
from pathlib import Path

DATA = Path(__file__).parent / "dataio"
LONG = "a folder/" + "with a long name " * 7 + "of 140 letters/"


def turns(question, answer):
    return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]


def members():
    picture, other = ((DATA / "pictures" / name).read_bytes() for name in ("rgb.png", "palette.png"))
    sound = (DATA / "recordings" / "pcm16.wav").read_bytes()
    yield "./000000.png", picture
    yield "./000000.json", json.dumps({"conversations": turns("<image>\nWhat is it?", "seven"), "image": "png"}).encode()
    yield LONG + "1.left.png", picture
    yield LONG + "1.right.png", other
    yield LONG + "1.json", json.dumps({"conversations": turns("<image><image>", "both")}).encode()
    yield "caption/2.txt", "A drei-eck: △\n".encode()
    yield "caption/2.png", other
    yield "caption/2.json", json.dumps({"url": "http://there/x.png", "width": 33}).encode()
    yield "caption/2.wav", sound
    yield ".hidden", b"x"


def write(name, form):
    with tarfile.open(DATA / "shards" / name, "w", format=form) as out:
        folder = tarfile.TarInfo("caption")
        folder.type = tarfile.DIRTYPE
        out.addfile(folder)
        for path, content in members():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))


if __name__ == "__main__":
    (DATA / "shards").mkdir(exist_ok=True)
    write("ustar.tar", tarfile.USTAR_FORMAT)
    write("gnu.tar", tarfile.GNU_FORMAT)
    write("pax.tar", tarfile.PAX_FORMAT)
