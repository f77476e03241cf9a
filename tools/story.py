# SPDX-License-Identifier: Apache-2.0
"""What the demo's pictures tell: one composed picture, and an animation with the moments of the moves."""
import dataclasses

from canvas import BACK, BLUE, DIM, GREEN, INK, LINE, RED, Canvas, animation, fitted
from pgm2png import read_pgm, to_bytes

SIDE = 512
EDGE = 32
HOST_COLOURS = (BLUE, GREEN)


@dataclasses.dataclass
class Look:
    """A picture that was read out of the partition's VRAM."""

    step: int
    host: str
    pgm: bytes
    note: str = ""  # what has just happened; such a look is held for longer

    def small(self):
        width, height, most, samples = read_pgm(self.pgm)
        return fitted(width, height, to_bytes(samples, most), SIDE)


@dataclasses.dataclass
class Mark:
    """Something that happened, for the line of time."""

    step: int
    text: str
    colour: int = INK


@dataclasses.dataclass
class Tale:
    """Who had the partition when, and what happened."""

    hosts: tuple  # names
    steps: int
    stays: list  # (host, from step, to step)
    marks: list

    def colour(self, host):
        return HOST_COLOURS[self.hosts.index(host)]


def time_line(canvas, tale, x, y, width, upto=None, texts=True):
    """The steps from left to right in the colour of who made them; `upto`: no further than this step."""
    upto = tale.steps if upto is None else upto

    def place(step):
        return x + width * step // tale.steps

    canvas.box(x, y, width, 14, LINE)
    for host, begin, end in tale.stays:
        if begin < upto:
            canvas.box(place(begin), y, place(min(end, upto)) - place(begin), 14, tale.colour(host))
    # The last one's text stands highest: no mark's line crosses another's text.
    for row, mark in enumerate(reversed(tale.marks)):
        if mark.step > upto:
            continue
        canvas.box(place(mark.step) - 1, y - 5, 3, 24, mark.colour)
        if texts:
            canvas.box(place(mark.step) - 1, y + 14, 3, 24 * row + 42, mark.colour)
            canvas.text(place(mark.step) + 8, y + 42 + 24 * row, mark.text, mark.colour)


def differing(one, other):
    """How many samples differ, and a picture of where: black where they are equal."""
    width, height, _, left = read_pgm(one)
    shape = read_pgm(other)
    if (width, height) != shape[:2]:
        raise ValueError("the pictures differ in size")
    right = shape[3]
    if left == right:
        return 0, width, height, bytes(width * height)
    bytes_each = len(left) // (width * height)
    where = bytes(255 if left[i : i + bytes_each] != right[i : i + bytes_each] else 0 for i in range(0, len(left), bytes_each))
    return where.count(255), width, height, where


def panel(canvas, x, y, small, title, below, colour):
    width, height, grey = small
    canvas.text(x, y, title, colour)
    canvas.picture(x, y + 24, width, height, grey)
    canvas.frame(x, y + 24, width, height, LINE, 2)
    canvas.text(x, y + 24 + height + 10, below, DIM)


def composed(tale, before, handoff, after, want, title):
    """The whole story in one picture: before, at the hand-off, after, the difference to a run without a move."""
    count, width, height, where = differing(after.pgm, want)
    marks = 24 * len(tale.marks)
    canvas = Canvas(2 * SIDE + 3 * EDGE, 110 + 2 * (SIDE + 76) + 80 + marks)
    right, second = 2 * EDGE + SIDE, 110 + SIDE + 76
    canvas.text(EDGE, 28, title, INK, 4)
    end = canvas.text(EDGE, 74, f"on {tale.hosts[0]}", HOST_COLOURS[0])
    end = canvas.text(end + 24, 74, f"on {tale.hosts[1]}", HOST_COLOURS[1])
    canvas.text(end + 24, 74, "2 and 3 were read out of the partition's VRAM", DIM)
    panel(canvas, EDGE, 110, before.small(), f"1  before: step {before.step:,}", before.note, tale.colour(before.host))
    panel(canvas, right, 110, handoff.small(), f"2  just after the hand-off: step {handoff.step:,}", handoff.note, tale.colour(handoff.host))
    panel(canvas, EDGE, second, after.small(), f"3  after: step {after.step:,}", after.note, tale.colour(after.host))
    panel(canvas, right, second, fitted(width, height, where, SIDE), "4  difference to a CPU that never moved",
          f"{count:,} of {width * height:,} samples differ", INK if count == 0 else RED)
    if count == 0:
        canvas.centred(right + SIDE // 2, second + 24 + SIDE // 2 - 60, "0", INK, 8)
        canvas.centred(right + SIDE // 2, second + 24 + SIDE // 2 + 20, "bit for bit the same", DIM)
    line = second + SIDE + 88
    time_line(canvas, tale, EDGE, line, 2 * SIDE + EDGE)
    canvas.text(EDGE, line + 20, "step 0", DIM)
    last = f"step {tale.steps:,}"
    canvas.text(canvas.width - EDGE - 12 * len(last), line + 20, last, DIM)
    return canvas.png(), count


def animated(tale, looks):
    """The diffusion, look by look; those with a note are held."""
    frames = []
    for look in looks:
        width, height, grey = look.small()
        colour = tale.colour(look.host)
        canvas = Canvas(width, height + 84, BACK)
        canvas.picture(0, 0, width, height, grey)
        end = canvas.text(12, height + 14, f"on {look.host}", colour)
        canvas.text(end + 24, height + 14, f"step {look.step:,}", INK)
        if look.note:
            canvas.frame(3, 3, width - 6, height - 6, colour, 3)
            canvas.text(12, height + 64, look.note, INK)
        time_line(canvas, tale, 12, height + 40, width - 24, look.step, texts=False)
        frames.append((canvas, 2200 if look.note else 160))
    return animation(frames)
