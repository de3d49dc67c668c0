"""Baseline JPEG files of grey pictures (ITU-T T.81), with the quantization and Huffman tables of its annex K."""

import math
import struct

ZIGZAG = sorted(range(64), key=lambda i: (i // 8 + i % 8, (i // 8 if (i // 8 + i % 8) % 2 else i % 8)))
QUANTIZATION = [16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
                87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
                72, 92, 95, 98, 112, 100, 103, 99]
# How many codes have 1, 2, ... 16 bits, and what they stand for.
DC = bytes([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]), bytes(range(12))
AC = bytes([0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125]), bytes.fromhex(
    "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738393a434445464748"
    "494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3"
    "c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa")
COSINES = [[math.cos((2 * x + 1) * u * math.pi / 16) / (2 if u else math.sqrt(8)) for x in range(8)] for u in range(8)]


def codes_of(counts, values):
    """{value: its code as bits}, in the order of their lengths."""
    codes, code, at = {}, 0, 0
    for length, count in enumerate(counts, 1):
        for value in values[at : at + count]:
            codes[value] = format(code, f"0{length}b")
            code += 1
        at += count
        code *= 2
    return codes


DC_CODES, AC_CODES = codes_of(*DC), codes_of(*AC)


def quantized(block, steps):
    """The 64 coefficients of 8 rows of 8 values, in zigzag order."""
    across = [[sum(c * v for c, v in zip(cosines, row)) for cosines in COSINES] for row in block]
    columns = list(zip(*across))
    return [round(sum(c * v for c, v in zip(COSINES[i // 8], columns[i % 8])) / steps[i]) for i in ZIGZAG]


def bits_of(value):
    """How many bits a value has, and these: of negative ones those of one less."""
    size = abs(value).bit_length()
    return size, format(value if value > 0 else value + (1 << size) - 1, f"0{size}b") if size else ""


def encode_block(coefficients, before):
    size, bits = bits_of(coefficients[0] - before)
    out, zeros = [DC_CODES[size], bits], 0
    last = max((i for i in range(64) if coefficients[i]), default=0)
    for value in coefficients[1 : last + 1]:
        if value == 0:
            zeros += 1
            continue
        out += [AC_CODES[0xF0]] * (zeros // 16)
        size, bits = bits_of(value)
        out += [AC_CODES[zeros % 16 * 16 + size], bits]
        zeros = 0
    if last < 63:
        out.append(AC_CODES[0])
    return "".join(out)


def jpeg(rows, quality=90):
    """Of rows of bytes; height and width are multiples of 8."""
    scale = 200 - 2 * quality if quality >= 50 else 5000 // quality
    steps = [min(max((q * scale + 50) // 100, 1), 255) for q in QUANTIZATION]
    bits, before = [], 0
    for y in range(0, len(rows), 8):
        for x in range(0, len(rows[0]), 8):
            coefficients = quantized([[v - 128 for v in row[x : x + 8]] for row in rows[y : y + 8]], steps)
            bits.append(encode_block(coefficients, before))
            before = coefficients[0]
    stream = "".join(bits)
    stream += "1" * (-len(stream) % 8)
    scan = int(stream, 2).to_bytes(len(stream) // 8, "big").replace(b"\xff", b"\xff\x00")

    def segment(marker, data):
        return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data

    return b"".join([
        b"\xff\xd8",
        segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"),
        segment(0xDB, bytes([0]) + bytes(steps[i] for i in ZIGZAG)),
        segment(0xC0, struct.pack(">BHHBBBB", 8, len(rows), len(rows[0]), 1, 1, 0x11, 0)),
        segment(0xC4, bytes([0x00]) + DC[0] + DC[1]),
        segment(0xC4, bytes([0x10]) + AC[0] + AC[1]),
        segment(0xDA, bytes([1, 1, 0, 0, 63, 0])),
        scan,
        b"\xff\xd9",
    ])
