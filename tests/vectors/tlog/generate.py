#!/usr/bin/env python3
"""Writes tree.json beside itself, from the definitions of RFC 6962 section 2.1 and nothing else.

The vectors are only ever added to; the test suite reads the file and does not run this script.
"""
import hashlib, json, pathlib

def h(b): return hashlib.sha256(b).digest()
def leaf(b): return h(b"\0" + b)
def k(n): return 1 << ((n - 1).bit_length() - 1)

def mth(d):
    if not d: return h(b"")
    if len(d) == 1: return d[0]
    s = k(len(d)); return h(b"\1" + mth(d[:s]) + mth(d[s:]))

def path(m, d):
    if len(d) == 1: return []
    s = k(len(d))
    if m < s: return path(m, d[:s]) + [mth(d[s:])]
    return path(m - s, d[s:]) + [mth(d[:s])]

def subproof(m, d, b):
    if m == len(d): return [] if b else [mth(d)]
    s = k(len(d))
    if m <= s: return subproof(m, d[:s], b) + [mth(d[s:])]
    return subproof(m - s, d[s:], False) + [mth(d[:s])]

leaves = [leaf(i.to_bytes(8, "big")) for i in range(66_000)]
hx = lambda hs: [x.hex() for x in hs]
out = {
    "leaves": "leaf i is the big-endian u64 i",
    "roots": [{"size": n, "root": mth(leaves[:n]).hex()} for n in
              (0, 1, 2, 3, 7, 8, 255, 256, 257, 511, 512, 600, 65535, 65536, 65537, 66000)],
    "inclusion": [{"index": i, "size": n, "proof": hx(path(i, leaves[:n]))} for i, n in
                  ((0, 1), (0, 256), (255, 256), (256, 257), (0, 257), (300, 600), (599, 600), (65535, 65536),
                   (65536, 65537), (0, 65537), (12345, 66000), (65999, 66000))],
    "consistency": [{"old": m, "new": n, "proof": hx(subproof(m, leaves[:n], True) if m else [])} for m, n in
                    ((0, 5), (1, 256), (255, 256), (255, 257), (256, 257), (256, 512), (300, 600), (65535, 65537),
                     (65536, 66000), (4097, 66000), (66000, 66000))],
    "tiles": [{"level": l, "index": i, "width": w, "sha256": h(b"".join(
                mth(leaves[(i * 256 + j) * 256**l:(i * 256 + j + 1) * 256**l]) for j in range(w))).hex()}
              for l, i, w in ((0, 0, 256), (0, 257, 208), (1, 0, 256), (1, 1, 1), (2, 0, 1), (0, 3, 7))],
}
pathlib.Path(__file__).with_name("tree.json").write_text(json.dumps(out, indent=1) + "\n")
