"""Keeps the figures of `cargo bench --bench parts` as a baseline, and compares with one.

    python3 tests/tools/parts.py save FILE       writes what was measured last
    python3 tests/tools/parts.py compare FILE    sets what was measured last beside FILE

What was measured last lies in target/criterion, or in the directory after `--from`. A part counts
as changed when the two confidence intervals (95 %) lie apart and the medians differ by more than
5 %; the status is 1 if any is slower. Figures of two machines are not comparable.
"""

import argparse
import json
import os
import pathlib
import platform
import sys

FORMAT = "liaison-parts/1"
NOTABLE = 0.05


def measured(folder):
    """What criterion wrote last: name of a part -> its figures, in nanoseconds."""
    parts = {}
    for found in sorted(folder.glob("**/new/estimates.json")):
        about = json.loads((found.parent / "benchmark.json").read_text())
        median = json.loads(found.read_text())["median"]
        interval = median["confidence_interval"]
        part = {
            "medianNanos": round(median["point_estimate"], 1),
            "lowNanos": round(interval["lower_bound"], 1),
            "highNanos": round(interval["upper_bound"], 1),
        }
        elements = (about.get("throughput") or {}).get("Elements", 1)
        if elements > 1:
            part["elements"] = elements
        parts[about["full_id"]] = part
    if not parts:
        sys.exit(f"{folder} holds no figures: run `cargo bench --bench parts` first")
    return parts


def machine():
    models = set()
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                models.add(line.split(":", 1)[1].strip())
    except OSError:
        pass
    return {
        "cores": os.cpu_count(),
        "model": ", ".join(sorted(models)) or platform.processor(),
        "kernel": platform.release(),
    }


def shown(nanos):
    for unit, size in (("ms", 1e6), ("µs", 1e3)):
        if nanos >= size:
            return f"{nanos / size:.2f} {unit}"
    return f"{nanos:.0f} ns"


def judged(before, now):
    """One word on what became of a part."""
    change = now["medianNanos"] / before["medianNanos"] - 1
    apart = now["lowNanos"] > before["highNanos"] or now["highNanos"] < before["lowNanos"]
    if not apart or abs(change) <= NOTABLE:
        return "same"
    return "slower" if change > 0 else "faster"


def compare(baseline, now):
    slower = 0
    width = max(map(len, now), default=0)
    print(f"{'part':{width}}  {'baseline':>12}  {'now':>12}  {'change':>8}")
    for name, part in now.items():
        before = baseline.get(name)
        if before is None:
            print(f"{name:{width}}  {'':>12}  {shown(part['medianNanos']):>12}  {'':>8}  new")
            continue
        word = judged(before, part)
        slower += word == "slower"
        change = part["medianNanos"] / before["medianNanos"] - 1
        print(
            f"{name:{width}}  {shown(before['medianNanos']):>12}  "
            f"{shown(part['medianNanos']):>12}  {change:>+8.1%}  {word}"
        )
    for name in baseline:
        if name not in now:
            print(f"{name}: in the baseline only")
    return 1 if slower else 0


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["save", "compare"])
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--from", dest="folder", type=pathlib.Path, default="target/criterion")
    chosen = parser.parse_args()
    now = measured(chosen.folder)
    if chosen.what == "save":
        kept = {"format": FORMAT, "machine": machine(), "parts": now}
        chosen.file.parent.mkdir(parents=True, exist_ok=True)
        chosen.file.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
        print(f"{len(now)} parts are in {chosen.file}")
        return 0
    kept = json.loads(chosen.file.read_text())
    if kept.get("format") != FORMAT:
        sys.exit(f"{chosen.file} is no {FORMAT}: it says {kept.get('format')!r}")
    if kept["machine"] != machine():
        print(f"other machine: the baseline is of {kept['machine']}, this is {machine()}\n")
    return compare(kept["parts"], now)


if __name__ == "__main__":
    sys.exit(main())
