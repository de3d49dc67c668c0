"""The loader's measure beside bench-loader: Pillow and HF transformers' fast processor of CLIP-336.

    hf_loader.py make FOLDER N       writes N JPEGs of 640 x 480, as cameras make them: smooth, with some noise
    hf_loader.py load PICTURES...    prints how many of them a minute of one core's time
"""

import sys
import time
from pathlib import Path

import numpy
import torch
import transformers
from PIL import Image


def make(folder, count):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        random = numpy.random.default_rng(i)
        coarse = Image.fromarray(random.integers(0, 256, (15, 20, 3), dtype=numpy.uint8))
        smooth = numpy.asarray(coarse.resize((640, 480), Image.Resampling.BICUBIC)).astype(numpy.int16)
        noisy = (smooth + random.normal(0, 6, smooth.shape)).clip(0, 255).astype(numpy.uint8)
        Image.fromarray(noisy).save(folder / f"{i:04}.jpg", quality=90)


def load(paths):
    torch.set_num_threads(1)
    options = {"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}}
    processor = transformers.CLIPImageProcessor(**options)
    prepare = lambda path: processor(Image.open(path).convert("RGB"), return_tensors="pt")  # noqa: E731
    prepare(paths[0])
    begin = time.process_time()
    for path in paths:
        assert prepare(path)["pixel_values"].shape == (1, 3, 336, 336)
    print(f"{60 * len(paths) / (time.process_time() - begin):.1f}")


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        load(sys.argv[2:])
