"""Handwritten digits as PNG pictures: 8 x 8 grey levels, moved, turned and scaled a little, drawn at SIZE x SIZE."""

import gzip
import math
import struct
import zlib

SIZE = 32
GRID = 8
INK = 16
MARGIN = 5


def read_digits(path):
    """[(digit, 8 rows of 8 values from 0 to 16)], in the order of the file."""
    with gzip.open(path, "rt") as lines:
        rows = [[int(float(value)) for value in line.split(",")] for line in lines]
    return [(row[64], [row[8 * y : 8 * y + 8] for y in range(GRID)]) for row in rows]


def pose(random):
    """A small change of place, angle and size: the inverse affine map from picture to digit coordinates."""
    angle = random.uniform(-0.22, 0.22)
    zoom = random.uniform(0.88, 1.14)
    shear = random.uniform(-0.15, 0.15)
    cos, sin = math.cos(angle) / zoom, math.sin(angle) / zoom
    return (cos, sin + shear, -sin, cos, random.uniform(-0.9, 0.9), random.uniform(-0.9, 0.9))


UPRIGHT = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


def draw(digit, transform=UPRIGHT):
    """SIZE rows of SIZE bytes, white ink on black, by bilinear interpolation."""
    # A frame of MARGIN empty cells: wide enough that no pose reaches beyond it, so that no bounds are checked.
    wide = GRID + 2 * MARGIN
    cells = [0.0] * (wide * wide)
    for y in range(GRID):
        for x in range(GRID):
            cells[(y + MARGIN) * wide + x + MARGIN] = digit[y][x] * (255.0 / INK)
    a, b, c, d, move_x, move_y = transform
    step, first = GRID / SIZE, (GRID / SIZE - GRID) / 2  # of a pixel, and where the first one lies, from the centre
    middle = (GRID - 1) / 2 + MARGIN
    rows = []
    for py in range(SIZE):
        v = first + py * step
        x, y = a * first + b * v + middle + move_x, c * first + d * v + middle + move_y
        row = bytearray(SIZE)
        for px in range(SIZE):
            left, top = int(x), int(y)
            fx = x - left
            at = top * wide + left
            upper = cells[at] + (cells[at + 1] - cells[at]) * fx
            lower = cells[at + wide] + (cells[at + wide + 1] - cells[at + wide]) * fx
            row[px] = int(upper + (lower - upper) * (y - top) + 0.5)
            x += a * step
            y += c * step
        rows.append(bytes(row))
    return rows


def rows_of(data):
    """Of a file that png() has made."""
    width, height = struct.unpack(">II", data[16:24])
    at = data.index(b"IDAT")
    body = zlib.decompress(data[at + 4 : at + 4 + struct.unpack(">I", data[at - 4 : at])[0]])
    return [body[y * (width + 1) + 1 : (y + 1) * (width + 1)] for y in range(height)]


def png(rows):
    """An 8-bit grey PNG file."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    lines = b"".join(b"\0" + row for row in rows)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b"")
    )
