#!/usr/bin/env python3
"""A roofline picture (SVG, no plotting library) of `quamba bench --per-operator --json`.

    python3 bench/roofline.py bench.json -o roofline.svg --peak-i8 470 --peak-f32 105

Each operator is a point: multiply-accumulates per byte moved, and per second; filled for prefill, hollow
for a decode step; area by its share of the time.  The slope is the read bandwidth that the run measured,
the levels are the arithmetic peaks given in GMAC/s for all threads together.
"""

import argparse
import json
import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 920, 560
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 50, 60
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#6b6ecf", "#767676"]


def points_of(bench):
    """(operator, phase, MAC per byte, GMAC/s, share of the phase's time), where there are products."""
    points = []
    for phase in ("prefill", "decode"):
        stages = bench["per_operator"][phase]
        whole = sum(stage["ms"] for stage in stages)
        for stage in stages:
            macs = stage["mac_i8"] + stage["mac_f32"]
            if macs and stage["ms"] > 0:
                points.append((stage["operator"], phase, macs / stage["bytes"], macs / stage["ms"] * 1e-6,
                               stage["ms"] / whole))
    return points


class Axes:
    """Both logarithmic, to whole powers of ten around what is shown."""

    def __init__(self, xs, ys):
        self.x0, self.x1 = math.floor(math.log10(min(xs))), math.ceil(math.log10(max(xs)))
        self.y0, self.y1 = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))

    def x(self, value):
        return LEFT + (math.log10(value) - self.x0) / (self.x1 - self.x0) * (WIDTH - LEFT - RIGHT)

    def y(self, value):
        return HEIGHT - BOTTOM - (math.log10(value) - self.y0) / (self.y1 - self.y0) * (HEIGHT - TOP - BOTTOM)


def text(x, y, words, anchor="start", kind=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(words)}</text>'


def line(x1, y1, x2, y2, kind):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def draw_axes(axes):
    out = []
    for power in range(axes.x0, axes.x1 + 1):
        x = axes.x(10.0**power)
        out += [line(x, TOP, x, HEIGHT - BOTTOM, "grid"), text(x, HEIGHT - BOTTOM + 18, f"{10.0**power:g}", "middle")]
    for power in range(axes.y0, axes.y1 + 1):
        y = axes.y(10.0**power)
        out += [line(LEFT, y, WIDTH - RIGHT, y, "grid"), text(LEFT - 8, y + 4, f"{10.0**power:g}", "end")]
    middle = (LEFT + WIDTH - RIGHT) / 2
    out.append(text(middle, HEIGHT - 18, "multiply-accumulates per byte", "middle"))
    out.append(f'<text transform="translate(18 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">GMAC/s</text>')
    return out


def draw_roof(axes, bandwidth, peaks):
    """The slope up to the highest level, and a level from the slope on for every peak."""
    low, high = 10.0**axes.x0, 10.0**axes.x1
    top = max([peak for _, peak in peaks] or [10.0**axes.y1])
    start, end = max(low, 10.0**axes.y0 / bandwidth), min(high, top / bandwidth, 10.0**axes.y1 / bandwidth)
    out = [line(axes.x(start), axes.y(start * bandwidth), axes.x(end), axes.y(end * bandwidth), "roof")]
    middle = math.sqrt(start * end)  # the words end left of the slope
    out.append(text(axes.x(middle) - 12, axes.y(middle * bandwidth) - 4, f"read bandwidth {bandwidth:.1f} GB/s", "end", "small"))
    for name, peak in peaks:
        y = axes.y(peak)
        out += [line(axes.x(max(low, peak / bandwidth)), y, WIDTH - RIGHT, y, "roof"),
                text(WIDTH - RIGHT - 4, y - 5, f"{name} {peak:g} GMAC/s", "end", "small")]
    return out


def draw_points(axes, points):
    names = list(dict.fromkeys(point[0] for point in points))
    out = []
    for name, phase, x, y, share in points:
        colour = COLOURS[names.index(name) % len(COLOURS)]
        fill = colour if phase == "prefill" else "none"
        out.append(f'<circle cx="{axes.x(x):.1f}" cy="{axes.y(y):.1f}" r="{4 + 16 * math.sqrt(share):.1f}" fill="{fill}" '
                   f'fill-opacity="0.75" stroke="{colour}" stroke-width="2"><title>{escape(name)}, {phase}: {x:.3g} MAC per byte, '
                   f'{y:.3g} GMAC/s, {100 * share:.0f} % of the time</title></circle>')
    for i, name in enumerate(names):
        y = TOP + 20 + 24 * i
        colour = COLOURS[i % len(COLOURS)]
        shares = {phase: 100 * share for n, phase, _, _, share in points if n == name}
        out.append(f'<circle cx="{WIDTH - RIGHT + 24}" cy="{y - 4}" r="6" fill="{colour}"/>')
        words = name + "  " + " / ".join(f"{shares.get(phase, 0):.0f} %" for phase in ("prefill", "decode"))
        out.append(text(WIDTH - RIGHT + 38, y, words, kind="small"))
    out.append(text(WIDTH - RIGHT + 18, TOP, "share of prefill / decode", kind="small"))
    y = TOP + 36 + 24 * len(names)
    out.append(text(WIDTH - RIGHT + 18, y, "filled: prefill; hollow: decode", kind="small"))
    return out


STYLE = """text { font: 13px sans-serif; fill: #222 } .small { font-size: 11.5px } .title { font-size: 15px; font-weight: bold }
.grid { stroke: #ccc; stroke-width: 1 } .roof { stroke: #444; stroke-width: 2 } .paper { fill: #fff }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .grid { stroke: #444 } .roof { stroke: #bbb } .paper { fill: #181a1b } }"""


def draw(bench, peaks):
    points = points_of(bench)
    bandwidth = bench["read_bandwidth_gb_s"]
    ys = [p[3] for p in points] + [peak for _, peak in peaks]
    axes = Axes([p[2] for p in points], ys)
    title = (f"{bench['model']}, mode {bench['mode']}: prefill of {bench['prompt_len']} tokens and a decode step, "
             f"{bench['threads']} thread{'s' if bench['threads'] > 1 else ''}")
    body = [f'<rect width="{WIDTH}" height="{HEIGHT}" class="paper"/>', text(LEFT, 26, title, kind="title")]
    body += draw_axes(axes) + draw_roof(axes, bandwidth, peaks) + draw_points(axes, points)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">\n'
            f"<style>{STYLE}</style>\n" + "\n".join(body) + "\n</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", help="JSON of quamba bench --per-operator")
    parser.add_argument("-o", "--output", required=True, help="the SVG")
    parser.add_argument("--peak-i8", type=float, help="INT8 peak, GMAC/s")
    parser.add_argument("--peak-f32", type=float, help="FP32 peak, GMAC/s")
    arg = parser.parse_args()
    with open(arg.bench) as file:
        bench = json.load(file)
    if "per_operator" not in bench:
        parser.error(f"{arg.bench}: made without --per-operator")
    peaks = [(name, peak) for name, peak in (("INT8", arg.peak_i8), ("FP32", arg.peak_f32)) if peak]
    with open(arg.output, "w") as file:
        file.write(draw(bench, peaks))


if __name__ == "__main__":
    main()
