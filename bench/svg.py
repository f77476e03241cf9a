# SPDX-License-Identifier: Apache-2.0
"""Charts as inline SVG, by nobody's library. Colours are the page's classes, so light, dark and paper are its affair."""
import html
import math

WIDTH = 460  # of a viewBox: at this size a phone shows it about one to one


class Linear:
    """Values to places."""

    def __init__(self, low, high, start, end):
        self.low, self.high, self.start, self.end = low, high if high > low else low + 1, start, end

    def __call__(self, value):
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, about=5):
        rough = (self.high - self.low) / about
        unit = 10 ** math.floor(math.log10(rough))
        step = next(unit * times for times in (1, 2, 5, 10) if unit * times >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [step * i for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


class Log:
    """Likewise, each decade as long as the next. Its ends are widened to ticks."""

    TICKS = [factor * 10**power for power in range(-4, 7) for factor in (1, 2, 5)]

    def __init__(self, low, high, start, end):
        low, high = max(low, 1e-3), max(high, 2e-3)
        self.low = max((tick for tick in self.TICKS if tick <= low), default=low)
        self.high = min((tick for tick in self.TICKS if tick >= high and tick > self.low), default=high)
        self.start, self.end = start, end

    def __call__(self, value):
        value = min(max(value, self.low), self.high)
        return self.start + math.log(value / self.low) / math.log(self.high / self.low) * (self.end - self.start)

    def ticks(self):
        inside = [tick for tick in self.TICKS if self.low <= tick <= self.high]
        decades = [tick for tick in inside if math.isclose(math.log10(tick), round(math.log10(tick)))]
        return inside if len(inside) <= 8 or len(decades) < 2 else decades


def plain(value):
    return f"{value:,.6g}".replace(",", "\u202f")


class Chart:
    """A drawing that grows by calls; text() of it is the whole <svg>."""

    def __init__(self, name, height=300, left=52, right=14, top=34, bottom=44):
        self.name, self.height, self.parts = name, height, []
        self.left, self.right, self.top, self.bottom = left, WIDTH - right, top, height - bottom

    def put(self, tag, inner=None, **attributes):
        words = "".join(f' {key.rstrip("_").replace("_", "-")}="{self.rounded(value)}"' for key, value in attributes.items() if value is not None)
        self.parts.append(f"<{tag}{words}/>" if inner is None else f"<{tag}{words}>{inner}</{tag}>")

    @staticmethod
    def rounded(value):
        return f"{value:.1f}".rstrip("0").rstrip(".") if isinstance(value, float) else html.escape(str(value))

    def say(self, x, y, words, kind="", anchor="start", turn=None):
        self.put("text", html.escape(words), x=float(x), y=float(y), class_=kind or None, text_anchor=None if anchor == "start" else anchor,
                 transform=turn)

    def line(self, x1, y1, x2, y2, kind):
        self.put("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=kind)

    def bar(self, x, y, width, height, kind, note=""):
        inner = f"<title>{html.escape(note)}</title>" if note else None
        self.put("rect", inner, x=float(x), y=float(y), width=max(float(width), 0.5), height=max(float(height), 0.5), class_=kind)

    def dot(self, x, y, kind, note="", radius=4.0):
        inner = f"<title>{html.escape(note)}</title>" if note else None
        self.put("circle", inner, cx=float(x), cy=float(y), r=radius, class_=kind)

    def path(self, places, kind):
        if len(places) > 1:
            self.put("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places), class_=f"{kind} path")

    def area(self, places, kind):
        self.put("polygon", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places), class_=kind)

    def y_axis(self, scale, label):
        for tick in scale.ticks():
            self.line(self.left, scale(tick), self.right, scale(tick), "grid")
            self.say(self.left - 6, scale(tick) + 4, plain(tick), "tick", "end")
        self.say(12, (self.top + self.bottom) / 2, label, "label", "middle", f"rotate(-90 12 {(self.top + self.bottom) / 2:.0f})")

    def x_axis(self, scale, label, grid=False):
        for tick in scale.ticks():
            if grid:
                self.line(scale(tick), self.top, scale(tick), self.bottom, "grid")
            self.say(scale(tick), self.bottom + 16, plain(tick), "tick", "middle")
        self.x_label(label)

    def x_label(self, label):
        self.line(self.left, self.bottom, self.right, self.bottom, "axis")
        self.say((self.left + self.right) / 2, self.bottom + 36, label, "label", "middle")

    def legend(self, entries):
        """(class, words) from left to right, above the drawing."""
        x = float(self.left)
        for kind, words in entries:
            self.put("rect", x=x, y=9.0, width=12.0, height=12.0, rx=2.0, class_=f"{kind} key")
            self.say(x + 17, 19.5, words, "legend")
            x += 30 + 6.8 * len(words)

    def text(self):
        return (f'<svg viewBox="0 0 {WIDTH} {self.height}" role="img" aria-label="{html.escape(self.name)}">'
                f"<title>{html.escape(self.name)}</title>{''.join(self.parts)}</svg>")
