#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Paints a night ferry under stars as a PGM file: fine detail and hot lights for diffuse.

The same arguments give the same picture. Standard library only.
"""
import argparse
import math
import random
import sys

TILE = 256  # side of the periodic noise tile; a power of two


def clamp(value):
    return 0 if value < 0 else 255 if value > 255 else int(value)


def noise_tile(rng):
    """Cloudy noise of four octaves as rows of floats in 0..1; repeats at its edges."""
    tile = [[0.0] * TILE for _ in range(TILE)]
    for octave, weight in ((8, 0.5), (16, 0.26), (32, 0.15), (64, 0.09)):
        lattice = [[rng.random() for _ in range(octave)] for _ in range(octave)]
        cell = TILE // octave
        ease = [t * t * (3 - 2 * t) for t in (i / cell for i in range(cell))]
        for y in range(TILE):
            top, bottom = lattice[y // cell], lattice[(y // cell + 1) % octave]
            down = ease[y % cell]
            knots = [(a + (b - a) * down) * weight for a, b in zip(top, bottom)]
            row, x = tile[y], 0
            for left, right in zip(knots, knots[1:] + knots[:1]):
                for t in ease:
                    row[x] += left + (right - left) * t
                    x += 1
    return tile


def ridge(rng, width, rough):
    """A mountain line by midpoint displacement: heights in about -1..1 for each column."""
    points, amplitude = [rng.random() - 0.5, rng.random() - 0.5], 0.5
    while len(points) < width + 1:
        middle = [
            (a + b) / 2 + (rng.random() - 0.5) * amplitude for a, b in zip(points, points[1:])
        ]
        points = [p for pair in zip(points, middle) for p in pair] + points[-1:]
        amplitude *= rough
    return points[:width]


class Picture:
    def __init__(self, width, height, seed):
        self.width, self.height = width, height
        self.unit = min(width, height) / 1024  # all lengths below are told for 1024 x 1024
        self.rng = random.Random(seed)
        self.pixels = bytearray(width * height)
        self.tile = noise_tile(self.rng)
        self.horizon = int(height * 0.62)
        self.moon = (int(width * 0.76), int(height * 0.17), 46 * self.unit)

    def put(self, x, y, value):
        """Lightens one pixel to at least `value`."""
        if 0 <= x < self.width and 0 <= y < self.height:
            at = y * self.width + x
            if self.pixels[at] < value:
                self.pixels[at] = clamp(value)

    def span(self, x0, x1, y, value):
        x0, x1 = max(0, int(x0)), min(self.width, int(x1))
        if x0 < x1 and 0 <= y < self.height:
            self.pixels[y * self.width + x0 : y * self.width + x1] = bytes([clamp(value)]) * (
                x1 - x0
            )

    def box(self, x0, y0, x1, y1, value):
        for y in range(int(y0), max(int(y0) + 1, int(y1))):
            self.span(x0, max(x0 + 1, x1), y, value)

    def glow(self, x, y, radius, strength):
        """Adds a soft light."""
        radius = max(2, int(radius))
        for dy in range(-radius, radius + 1):
            if not 0 <= y + dy < self.height:
                continue
            for dx in range(-radius, radius + 1):
                fall = 1 - (dx * dx + dy * dy) / (radius * radius)
                if fall > 0 and 0 <= x + dx < self.width:
                    at = (y + dy) * self.width + x + dx
                    self.pixels[at] = clamp(self.pixels[at] + strength * fall * fall * fall)

    def sky(self):
        moon_x, moon_y, moon_r = self.moon
        reach = 9.0 * moon_r
        step = reach * reach / 1024
        halo = [
            int(96 * math.exp(-6.5 * math.sqrt(i / 1024)) * (1 - i / 1024)) for i in range(1025)
        ]
        across = [min(1e9, (x - moon_x) ** 2 / step) for x in range(self.width)]
        band = [int(30 * math.exp(-(((i - 512) / 150) ** 2)) * 64) for i in range(1024)]
        slope = 0.55 * 1024 / self.width
        for y in range(self.horizon):
            up = 1 - y / self.horizon
            base = int(14 + 44 * (1 - up) ** 2.6)
            row = self.tile[int(y * 0.9 / self.unit) % TILE]
            dust = [int(v * v * 64) for v in row]
            off = (y - moon_y) ** 2 / step
            lean = 512 - self.height * 0.30 * slope - y * 0.75 * 1024 / self.height
            zoom = 0.7 / self.unit
            self.pixels[y * self.width : (y + 1) * self.width] = bytes(
                [
                    min(
                        255,
                        base
                        + halo[min(1024, int(off + d))]
                        + (
                            band[int(lean + x * slope + 200) & 1023] * dust[int(x * zoom) & 255]
                            >> 11
                        ),
                    )
                    for x, d in enumerate(across)
                ]
            )

    def stars(self):
        rng, unit = self.rng, self.unit
        for _ in range(int(1500 * self.width * self.height / (1 << 20))):
            x, y = int(rng.random() * self.width), int(rng.random() * self.horizon)
            bright = 60 + 195 * rng.random() ** 4
            self.put(x, y, bright)
            if bright > 170:
                for reach in range(1, int((bright - 140) / 28 * max(1.0, unit)) + 1):
                    for dx, dy in ((reach, 0), (-reach, 0), (0, reach), (0, -reach)):
                        self.put(x + dx, y + dy, bright * 0.8 / (reach + 0.4))

    def disc(self):
        moon_x, moon_y, radius = self.moon
        craters = [
            (rng_x, rng_y, r)
            for rng_x, rng_y, r in (
                (-0.35, -0.3, 0.28),
                (0.2, 0.1, 0.22),
                (-0.1, 0.5, 0.18),
                (0.45, -0.4, 0.16),
                (-0.55, 0.3, 0.12),
                (0.5, 0.45, 0.1),
                (0.05, -0.6, 0.1),
            )
        ]
        for y in range(int(-radius), int(radius) + 1):
            for x in range(int(-radius), int(radius) + 1):
                u, v = x / radius, y / radius
                if u * u + v * v > 1:
                    continue
                shade = 250 - 26 * (u * u + v * v)
                for cx, cy, r in craters:
                    d = math.hypot(u - cx, v - cy) / r
                    if d < 1:
                        shade -= 40 * (1 - d * d)
                    elif d < 1.25:
                        shade += 5
                at = (moon_y + y) * self.width + moon_x + x
                if 0 <= moon_y + y < self.height and 0 <= moon_x + x < self.width:
                    self.pixels[at] = clamp(shade)

    def mountains(self):
        width, horizon = self.width, self.horizon
        for top, swing, rough, dark, snow in (
            (0.150, 0.30, 0.56, 52, 96),
            (0.085, 0.22, 0.58, 34, 50),
            (0.030, 0.10, 0.50, 15, 0),
        ):
            line = ridge(self.rng, width, rough)
            heights = [max(2, int(self.height * (top + swing * h))) for h in line]
            for x, height in enumerate(heights):
                lit = heights[min(width - 1, x + 3)] - heights[max(0, x - 3)]
                face = dark + max(-14, min(20, -lit * 2 / max(1, self.unit)))
                grain = self.tile[x % TILE]
                column = bytearray(height)
                cap = snow * max(0.0, (height / self.height - top * 0.75) / top)
                for y in range(height):
                    fade = y / height  # mist rises from the water
                    streak = grain[(y * 3 + x) % TILE]
                    white = (
                        cap * (1 - fade * 2.2) * (1.7 if streak > 0.5 else 0.5)
                        if fade < 0.45
                        else 0
                    )
                    column[y] = clamp(face * (0.75 + 0.5 * streak) + white + 26 * fade**4)
                self.pixels[(horizon - height) * width + x : horizon * width : width] = column

    def sea(self):
        width, horizon, unit = self.width, self.horizon, self.unit
        sine = [math.sin(i * math.tau / 1024) for i in range(1024)]
        moon_x = self.moon[0]
        for y in range(horizon, self.height):
            depth = (y - horizon + 1) / (self.height - horizon)
            far = 1 / (depth + 0.035)
            long_f, short_f = 1.1 * far / unit, 3.7 * far / unit
            long_p = 5200 * math.log(depth + 0.05) + 300 * sine[int(y * 11 / unit) & 1023]
            short_p = 14300 * math.log(depth + 0.05)
            base = 34 - 16 * depth
            spread = (26 + 190 * depth) * unit
            rough = self.tile[(y * 7) % TILE]
            zoom = max(0.25, far * 0.12) / unit
            out = bytearray(width)
            for x in range(width):
                wave = (
                    sine[int(x * long_f + long_p) & 1023]
                    + 0.6 * sine[int(x * short_f + short_p) & 1023]
                )
                chop = rough[int(x * zoom) & 255]
                value = base + 9 * wave + 22 * (chop - 0.5)
                away = (x - moon_x) / spread
                if -2.2 < away < 2.2:
                    glint = wave + 3.2 * chop - 1.6 - abs(away)
                    if glint > 0:
                        value += 150 * glint * (1 - abs(away) * 0.45)
                out[x] = 0 if value < 0 else 255 if value > 255 else int(value)
            self.pixels[y * width : (y + 1) * width] = out

    def lighthouse(self):
        unit = self.unit
        x, foot = self.width * 0.085, self.horizon + 6 * unit
        for row in range(int(40 * unit)):
            half = (66 - row * 0.9 + 9 * self.tile[row % TILE][7]) * unit
            self.span(x - half * 1.3, x + half, int(foot + 14 * unit - row), 12)
        for row in range(int(150 * unit)):
            half = (13 - row / unit * 0.042) * unit
            stripe = 168 if int(row / unit / 26) % 2 else 70
            y = int(foot - 22 * unit - row)
            self.span(x - half, x + half, y, stripe)
            self.span(x + half * 0.3, x + half, y, stripe * 0.6)
        lamp = foot - 180 * unit
        self.box(x - 14 * unit, lamp + 8 * unit, x + 14 * unit, lamp + 12 * unit, 30)
        for reach in range(int(330 * unit)):
            part = reach / (330 * unit)
            half = int((3 + 40 * part) * unit)
            for dy in range(-half, half + 1):
                column, row = int(x + reach), int(lamp - reach * 0.16 + dy)
                if 0 <= row < self.height and 0 <= column < self.width:
                    at = row * self.width + column
                    light = 105 * (1 - part) ** 1.6 * (1 - abs(dy) / (half + 1))
                    self.pixels[at] = clamp(self.pixels[at] + light)
        self.glow(int(x), int(lamp), 40 * unit, 150)
        self.box(x - 9 * unit, lamp - 8 * unit, x + 9 * unit, lamp + 8 * unit, 255)

    def ferry(self):
        unit = self.unit
        left, water = self.width * 0.5 - 250 * unit, self.horizon + 118 * unit

        def at(u, v):
            return left + u * unit, water - v * unit

        self.smoke(*at(172, 176))
        hull = int(58 * unit)
        for row in range(hull):  # from the waterline up: a raked bow on the right, a straight stern
            up = row / hull
            y = int(water) - row
            self.span(
                left + (10 - 8 * up) * unit,
                left + (452 + 62 * up * up) * unit,
                y,
                150 if 0.62 < up < 0.70 else 22 + 14 * up,
            )
        decks = (
            (58, 86, 22, 452, 205),
            (86, 112, 40, 430, 190),
            (112, 136, 66, 400, 205),
            (136, 154, 300, 384, 215),
        )
        for low, high, x0, x1, paint in decks:
            (ax, ay), (bx, by) = at(x0, high), at(x1, low)
            self.box(ax, ay, bx, by, paint * 0.55)
            self.box(ax, ay, bx, ay + 3 * unit, paint)
            self.box(ax - 6 * unit, by - 2 * unit, bx + 6 * unit, by, paint * 0.8)
        self.windows(at)
        for x0, x1, low, high, paint in (
            (140, 196, 136, 178, 120),
            (140, 196, 160, 170, 235),
            (344, 349, 154, 214, 130),
            (250, 253, 136, 186, 120),
        ):
            (ax, ay), (bx, by) = at(x0, high), at(x1, low)
            self.box(ax, ay, bx, by, paint)
        for u, v in ((346, 216), (251, 188), (505, 62), (12, 66)):
            x, y = at(u, v)
            self.glow(int(x), int(y), 16 * unit, 150)
            self.box(x - 2 * unit, y - 2 * unit, x + 2 * unit, y + 2 * unit, 255)
        self.rigging(at)
        self.wake(left, water)

    def windows(self, at):
        """Lit cabins: the hot spots that spread first. Some are dark, as on any night."""
        unit = self.unit
        for low, x0, x1, pitch, size in (
            (66, 34, 440, 14, 8),
            (93, 52, 418, 12, 7),
            (118, 78, 388, 16, 9),
            (141, 306, 380, 9, 7),
            (34, 40, 450, 22, 6),
        ):
            for u in range(x0, x1 - size, pitch):
                lit = self.rng.random()
                value = 255 if lit > 0.35 else 200 if lit > 0.18 else 36
                (ax, ay), (bx, by) = at(u, low + size), at(u + size * 0.8, low)
                self.box(ax, ay, bx, by, value)
                if value > 100:  # its reflection, broken by the waves
                    for row in range(int(70 * unit)):
                        if (row * 7 // max(1, int(3 * unit)) + u) % 5 < 2:
                            y = int(at(0, 0)[1]) + row + int(6 * unit)
                            sway = 5 * unit * math.sin(row / unit * 0.5 + u)
                            strength = value * 0.62 * (1 - row / (70 * unit))
                            for x in range(int(ax + sway), max(int(ax + sway) + 1, int(bx + sway))):
                                self.put(x, y, strength)

    def rigging(self, at):
        (ax, ay), (bx, by), (cx, cy) = at(346, 212), at(508, 62), at(251, 184)
        for tx, ty in ((bx, by), (cx, cy)):
            steps = int(max(abs(tx - ax), abs(ty - ay)))
            for i in range(steps):
                sag = 10 * self.unit * math.sin(math.pi * i / steps)
                x, y = int(ax + (tx - ax) * i / steps), int(ay + (ty - ay) * i / steps + sag)
                self.put(x, y, 92)
                if i % max(1, int(13 * self.unit)) == 0:
                    self.box(x, y, x + 2 * self.unit, y + 2 * self.unit, 255)

    def smoke(self, x, y):
        for puff in range(34):
            part = puff / 34
            drift = 230 * part**1.25 * self.unit
            rise = (16 + 92 * part**0.7 + 10 * math.sin(puff * 1.1)) * self.unit
            self.glow(
                int(x - drift), int(y - rise), (9 + 30 * part) * self.unit, 46 * (1 - part) ** 0.8
            )

    def wake(self, left, water):
        unit = self.unit
        for row in range(int(26 * unit)):
            y, part = int(water) + row, row / (26 * unit)
            grain = self.tile[(row * 5) % TILE]
            for x in range(
                int(left - (60 + 200 * part) * unit), int(left + (470 + 60 * part) * unit)
            ):
                foam = grain[int(x * 1.7 / unit) & 255] * (1.15 - part)
                if foam > 0.52 + 0.18 * part:
                    self.put(x, y, 255 * (foam - 0.22) * (1 - 0.6 * part))

    def paint(self):
        for part in (
            self.sky,
            self.stars,
            self.disc,
            self.mountains,
            self.sea,
            self.lighthouse,
            self.ferry,
        ):
            part()
        return self.pixels


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", help="PGM file to write")
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--height", type=int, default=1024)
    parser.add_argument(
        "--depth", type=int, choices=(8, 16), default=8, help="bits a sample (default 8)"
    )
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.width < 256 or args.height < 256:
        sys.exit("make_picture: the picture is too small for its detail: give at least 256 x 256")
    pixels = Picture(args.width, args.height, args.seed).paint()
    if args.depth == 16:
        wide = bytearray(2 * len(pixels))
        wide[::2] = wide[1::2] = pixels  # value * 257
        pixels = wide
    with open(args.output, "wb") as file:
        file.write(
            b"P5\n%d %d\n%d\n" % (args.width, args.height, 255 if args.depth == 8 else 65535)
        )
        file.write(pixels)


if __name__ == "__main__":
    main()
