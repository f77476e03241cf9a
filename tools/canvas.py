# SPDX-License-Identifier: Apache-2.0
"""Pictures beside each other with captions, as PNG and as an animation (APNG). Standard library only."""
import functools
import struct
import zlib

import font
from pgm2png import HEAT, chunk, palette

# The palette: heat, and behind it the colours of captions.
HEAT_COLOURS = 240
BACK, INK, DIM, LINE, RED, BLUE, GREEN = range(HEAT_COLOURS, HEAT_COLOURS + 7)
CAPTION_COLOURS = ((13, 13, 22), (240, 240, 244), (150, 150, 168), (58, 58, 78), (240, 70, 80), (84, 190, 240), (120, 214, 130))
TO_HEAT = bytes(i * (HEAT_COLOURS - 1) // 255 for i in range(256))


def colours():
    heat = palette(HEAT)
    shades = [heat[i * 255 // (HEAT_COLOURS - 1)] for i in range(HEAT_COLOURS)]
    return shades + [bytes(colour) for colour in CAPTION_COLOURS]


def mean(left, right):
    """The mean of two byte strings, byte by byte, all at once: as one large number each."""
    size = len(left)
    a, b = int.from_bytes(left, "little"), int.from_bytes(right, "little")
    low = int.from_bytes(b"\xfe" * size, "little")
    return ((a & b) + (((a ^ b) & low) >> 1)).to_bytes(size, "little")


def halved(width, height, grey):
    """The picture at half its size; both sides are even."""
    narrow, half = mean(grey[::2], grey[1::2]), width // 2
    rows = [narrow[y * half : (y + 1) * half] for y in range(height)]
    return half, height // 2, mean(b"".join(rows[::2]), b"".join(rows[1::2]))


def fitted(width, height, grey, side):
    """The picture at `side` columns or less, by halving."""
    while width > side and width % 2 == 0 and height % 2 == 0:
        width, height, grey = halved(width, height, grey)
    return width, height, grey


@functools.lru_cache(maxsize=None)
def lettering(text, scale):
    rows = font.dots(text)
    while scale > 1 and scale % 2 == 0:
        rows, scale = font.doubled(rows), scale // 2
    return [bytes(dot for dot in row for _ in range(scale)) for row in rows for _ in range(scale)]


class Canvas:
    """A picture of palette colours."""

    def __init__(self, width, height, colour=BACK):
        self.width, self.height = width, height
        self.pixels = bytearray([colour]) * (width * height)

    def box(self, x, y, width, height, colour):
        x0, x1 = max(0, x), min(self.width, x + width)
        for row in range(max(0, y), min(self.height, y + height)):
            self.pixels[row * self.width + x0 : row * self.width + x1] = bytes([colour]) * max(0, x1 - x0)

    def frame(self, x, y, width, height, colour, thick=1):
        """A line around the area."""
        self.box(x - thick, y - thick, width + 2 * thick, thick, colour)
        self.box(x - thick, y + height, width + 2 * thick, thick, colour)
        self.box(x - thick, y, thick, height, colour)
        self.box(x + width, y, thick, height, colour)

    def picture(self, x, y, width, height, grey):
        """A grey picture in the colours of heat."""
        heat = grey.translate(TO_HEAT)
        for row in range(height):
            at = (y + row) * self.width + x
            self.pixels[at : at + width] = heat[row * width : (row + 1) * width]

    def text(self, x, y, text, colour=INK, scale=2):
        """Returns where the text ends. What passes the edge is cut off."""
        for row, dots in enumerate(lettering(text, scale)):
            if not 0 <= y + row < self.height:
                continue
            at = (y + row) * self.width + x
            part = self.pixels[at : at + min(len(dots), self.width - x)]
            self.pixels[at : at + len(part)] = bytes(colour if dot else old for dot, old in zip(dots, part))
        return x + len(text) * font.WIDTH * scale

    def centred(self, x, y, text, colour=INK, scale=2):
        return self.text(x - len(text) * font.WIDTH * scale // 2, y, text, colour, scale)

    def packed(self):
        """Its rows as PNG wants them."""
        width = self.width
        return zlib.compress(b"".join(b"\0" + self.pixels[y * width : (y + 1) * width] for y in range(self.height)), 9)

    def head(self):
        return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", self.width, self.height, 8, 3, 0, 0, 0)))

    def png(self):
        return self.head() + chunk(b"PLTE", b"".join(colours())) + chunk(b"IDAT", self.packed()) + chunk(b"IEND", b"")


def animation(frames):
    """An APNG that repeats for ever, of (canvas, milliseconds) pairs; who knows no APNG shows the first."""
    first = frames[0][0]
    out = first.head() + chunk(b"acTL", struct.pack(">II", len(frames), 0)) + chunk(b"PLTE", b"".join(colours()))
    sequence = 0
    for number, (canvas, shown_ms) in enumerate(frames):
        out += chunk(b"fcTL", struct.pack(">IIIIIHHBB", sequence, canvas.width, canvas.height, 0, 0, shown_ms, 1000, 0, 0))
        sequence += 1
        if number == 0:
            out += chunk(b"IDAT", canvas.packed())
        else:
            out += chunk(b"fdAT", struct.pack(">I", sequence) + canvas.packed())
            sequence += 1
    return out + chunk(b"IEND", b"")
