"""The measurements as docs/performance.json, a table in docs/performance.md and a roofline plot in SVG."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

START, END = "<!-- measured: start -->", "<!-- measured: end -->"


def write_report(result: dict, docs: Path) -> None:
    (docs / "performance.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    page = (docs / "performance.md").read_text(encoding="utf-8")
    table = f"{START}\n{markdown(result)}\n{END}"
    page = re.sub(f"{START}.*?{END}", lambda _: table, page, flags=re.DOTALL)
    (docs / "performance.md").write_text(page, encoding="utf-8")
    (docs / "roofline.svg").write_text(roofline(result["rows"]), encoding="utf-8")


def wall(rows: list[dict], row: dict) -> float:
    """Read bandwidth in GB/s, measured in the same run over about as many bytes with as many threads."""
    reads = [r for r in rows if r["engine"] == "memory" and r["threads"] == row["threads"]]
    return min(reads, key=lambda r: abs(r["mb_per_token"] - row["mb_per_token"]))["gb_s"] if reads else math.nan


def markdown(result: dict) -> str:
    rows, machine = result["rows"], result["machine"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, {result['rounds']} interleaved rounds; median [min-max].",
        "",
        "| engine | what | threads | tok/s | MB/token | GB/s | share of the read bandwidth |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        memory = r["engine"] == "memory"
        alone = r["what"] == "decode"
        speed = "" if memory else f"{r['tok_s']:.0f} [{r['min']:.0f}-{r['max']:.0f}]"
        share = f"{100 * r['gb_s'] / wall(rows, r):.0f} %" if alone and not memory else ""
        moved, flow = (f"{r['mb_per_token']:.0f}", f"{r['gb_s']:.1f}") if alone or memory else ("", "")
        lines.append(f"| {r['engine']} | {r['what']} | {r['threads']} | {speed} | {moved} | {flow} | {share} |")
    loads = ", ".join(f"{name} {seconds * 1e3:.0f} ms" for name, seconds in result["load_s"].items())
    return "\n".join([*lines, "", f"From the mapped file to the first token, warm: {loads}.", *result["notes"]])


def roofline(rows: list[dict]) -> str:
    """Tokens per second over megabytes per token, both logarithmic: the wall is a falling line."""
    points = [r for r in rows if r["what"] == "decode" and r["threads"] == 2]
    reads = [r["gb_s"] for r in rows if r["engine"] == "memory" and r["threads"] == 2]
    width, height, left, bottom, top = 720, 420, 70, 370, 20
    low_mb, high_mb, low_t, high_t = 50, 700, 10, 1000

    def x(mb: float) -> float:
        return left + (width - left - 20) * math.log(mb / low_mb) / math.log(high_mb / low_mb)

    def y(tok_s: float) -> float:
        return bottom - (bottom - top) * math.log(max(tok_s, low_t) / low_t) / math.log(high_t / low_t)

    def text(at_x: float, at_y: float, words: str, anchor: str = "start", colour: str = "#333", more: str = "") -> str:
        return f'<text x="{at_x:.1f}" y="{at_y:.1f}" text-anchor="{anchor}" fill="{colour}"{more}>{words}</text>'

    size = f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12"'
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for tok_s in (10, 30, 100, 300, 1000):
        out.append(f'<path d="M{left} {y(tok_s):.1f}H{width - 20}" stroke="#ddd"/>')
        out.append(text(left - 8, y(tok_s) + 4, str(tok_s), "end"))
    out += [text(x(mb), bottom + 18, str(mb), "middle") for mb in (50, 100, 200, 400, 700)]
    for gb_s, dash in ((max(reads), ""), (min(reads), ' stroke-dasharray="5 4"')):
        ends = " L".join(f"{x(mb):.1f} {y(1e3 * gb_s / mb):.1f}" for mb in (low_mb, 150, high_mb))
        out.append(f'<path d="M{ends}" fill="none" stroke="#c33"{dash}/>')
        out.append(text(x(60), y(1e3 * gb_s / 60) - 6, f"{gb_s:.0f} GB/s read", colour="#c33"))
    for r in points:
        colour, at_x, at_y = "#067" if r["engine"].startswith("cpu") else "#777", x(r["mb_per_token"]), y(r["tok_s"])
        out.append(f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="4" fill="{colour}"/>')
        out.append(text(at_x + 7, at_y + 4, f"{r['engine']} {r['tok_s']:.0f}", colour=colour))
    out.append(text((left + width) / 2, height - 12, "MB read per token", "middle"))
    turned = f' transform="rotate(-90 16 {height / 2})"'
    out.append(text(16, height / 2, "tokens per second, 2 threads", "middle", more=turned))
    return "\n".join([*out, "</svg>"]) + "\n"
