#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns a PGM picture into a PNG one, in grey or through a heat palette. Standard library only."""
import argparse
import struct
import sys
import zlib

HEAT = (
    (0, (4, 4, 22)),
    (40, (44, 16, 92)),
    (90, (140, 32, 100)),
    (140, (216, 72, 52)),
    (190, (250, 152, 36)),
    (230, (253, 224, 96)),
    (255, (255, 255, 236)),
)


def palette(stops):
    """256 colours, straight lines between the stops."""
    colours = []
    for (low, from_colour), (high, to_colour) in zip(stops, stops[1:]):
        for i in range(low, high):
            part = (i - low) / (high - low)
            colours.append(bytes(round(a + (b - a) * part) for a, b in zip(from_colour, to_colour)))
    return colours + [bytes(stops[-1][1])]


def read_pgm(data):
    """Width, height, maximum and the samples' bytes of a binary PGM."""
    fields, at = [], 0
    while len(fields) < 4:
        while at < len(data) and (data[at : at + 1].isspace() or data[at : at + 1] == b"#"):
            at = (data.find(b"\n", at) if data[at : at + 1] == b"#" else at) + 1
            if at == 0:
                raise ValueError("a comment does not end")
        start = at
        while at < len(data) and not data[at : at + 1].isspace() and data[at : at + 1] != b"#":
            at += 1
        if start == at:
            raise ValueError("the header is truncated")
        fields.append(data[start:at])
    if fields[0] != b"P5" or not all(field.isdigit() for field in fields[1:]):
        raise ValueError("not a binary PGM (P5)")
    width, height, most = (int(field) for field in fields[1:])
    if not (0 < width < 1 << 31 and 0 < height < 1 << 31 and 0 < most < 65536):
        raise ValueError("a size of the header is out of range")
    samples = data[at + 1 :]
    if len(samples) != width * height * (1 if most < 256 else 2):
        raise ValueError("the samples do not fill the picture exactly")
    return width, height, most, samples


def to_bytes(samples, most):
    """One byte a sample, the maximum at 255."""
    if most >= 256:
        if most == 65535:
            return samples[::2]
        return bytes(
            min(255, (high << 8 | low) * 255 // most)
            for high, low in zip(samples[::2], samples[1::2])
        )
    return samples.translate(bytes(min(255, i * 255 // most) for i in range(256)))


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, grey, colours):
    """An indexed PNG with a palette, a grey one without."""
    rows = b"".join(b"\0" + grey[y * width : (y + 1) * width] for y in range(height))
    out = b"\x89PNG\r\n\x1a\n" + chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3 if colours else 0, 0, 0, 0)
    )
    if colours:
        out += chunk(b"PLTE", b"".join(colours))
    return out + chunk(b"IDAT", zlib.compress(rows, 6)) + chunk(b"IEND", b"")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", help="PGM file")
    parser.add_argument("output", help="PNG file to write")
    parser.add_argument("--palette", choices=("grey", "heat"), default="grey")
    args = parser.parse_args()
    try:
        with open(args.input, "rb") as file:
            width, height, most, samples = read_pgm(file.read())
        with open(args.output, "wb") as file:
            file.write(
                png(
                    width,
                    height,
                    to_bytes(samples, most),
                    palette(HEAT) if args.palette == "heat" else None,
                )
            )
    except (OSError, ValueError) as error:
        sys.exit(f"pgm2png: {args.input}: {error}")


if __name__ == "__main__":
    main()
