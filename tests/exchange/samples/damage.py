"""Damage a file as disks, networks, editors and enemies do: bytes, lines, cells, JSON values, members of an archive."""

from __future__ import annotations

import io
import json
import random
import zipfile
from typing import Any

WORDS = (
    b"", b'"', b"'", b"\n", b",", b";", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"nan", b"inf", b"-1", b"1e400",
    b"999999999999", b"#1", b"|", b"[]", b"{}", b"null", b"<a>", b"]]>", b"&amp;", b"&x;",
    b"<!DOCTYPE a [<!ENTITY x 'y'>]>", b"=1+1",
    b"a@b.org", b"\xf0\x9f\x90\xb1", b"\xd8\x00", b"-99", b"A" * 3_000, b"\r", b"\t", b"\x1f", b"\xc2\x85",
    b"\xe2\x80\xa8",
)  # fmt: skip
VALUES = (None, True, 0, -1, 1e308, "", "x", "1", [], {}, [[]], {"": {}}, "QID1", "\ud800", 10**30, ["1", 1], "<b>&x;")
EXTREMES = (b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x40", b"\x7f\xff\xff\xff", b"\x01\0\0\0")


def damaged(data: bytes, draw: random.Random) -> bytes:
    """The data with one to three faults."""
    for _ in range(draw.choice((1, 1, 2, 3))):
        if data[:4] == b"PK\x03\x04" and draw.random() < 0.7:
            data = _member(data, draw)
        elif data.lstrip()[:1] in (b"{", b"[") and draw.random() < 0.6:
            data = _json(data, draw)
        else:
            data = draw.choice((_bytes, _cut, _words, _lines, _extreme, _move))(data, draw)
    return data


def _place(data: bytes, draw: random.Random) -> int:
    """Anywhere, but every third time near the beginning, where headers are."""
    most = len(data) if draw.random() < 0.67 else min(len(data), 600)
    return draw.randrange(most) if most else 0


def _bytes(data: bytes, draw: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(draw.choice((1, 1, 3, 20))):
        if out:
            out[_place(data, draw) % len(out)] = draw.randrange(256)
    return bytes(out)


def _cut(data: bytes, draw: random.Random) -> bytes:
    at = _place(data, draw)
    return data[:at] if draw.random() < 0.5 else data[:at] + data[at + draw.choice((1, 2, 30, 500)) :]


def _words(data: bytes, draw: random.Random) -> bytes:
    at = _place(data, draw)
    return data[:at] + draw.choice(WORDS) + data[at + draw.choice((0, 0, 1, 5)) :]


def _lines(data: bytes, draw: random.Random) -> bytes:
    lines = data.split(b"\n")
    i, j = draw.randrange(len(lines)), draw.randrange(len(lines))
    change = draw.randrange(4)
    if change == 0:
        lines[i], lines[j] = lines[j], lines[i]
    elif change == 1:
        del lines[i]
    elif change == 2:
        lines.insert(j, lines[i])
    else:
        sign = draw.choice((b",", b";", b"<", b"\t"))
        cells = lines[i].split(sign)
        cells[draw.randrange(len(cells))] = draw.choice(WORDS)
        lines[i] = sign.join(cells)
    return b"\n".join(lines)


def _extreme(data: bytes, draw: random.Random) -> bytes:
    at = _place(data, draw)
    word = draw.choice(EXTREMES)
    return data[:at] + word + data[at + len(word) :]


def _move(data: bytes, draw: random.Random) -> bytes:
    """A piece copied to another place."""
    a, b, size = _place(data, draw), _place(data, draw), draw.choice((4, 40, 400))
    return data[:b] + data[a : a + size] + data[b:]


def _json(data: bytes, draw: random.Random) -> bytes:
    """Another value (or no value) somewhere in a JSON tree."""
    try:
        tree = json.loads(data)
    except ValueError:
        return _bytes(data, draw)
    holders: list[Any] = []
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, (dict, list)) and node:
            holders.append(node)
            todo += node.values() if isinstance(node, dict) else node
    if not holders:
        return data
    holder = draw.choice(holders)
    key = draw.choice(list(holder)) if isinstance(holder, dict) else draw.randrange(len(holder))
    change = draw.random()
    if change < 0.6:
        holder[key] = draw.choice(VALUES)
    elif change < 0.8:
        del holder[key]
    else:
        holder[key] = json.loads(json.dumps(draw.choice(holders)))
    return json.dumps(tree).encode()


def _member(data: bytes, draw: random.Random) -> bytes:
    """An archive whose one member is damaged (or lost), packed again so that its checksums fit."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception:
        return _bytes(data, draw)
    if not members:
        return data
    name = draw.choice(list(members))
    if draw.random() < 0.1:
        del members[name]
    else:
        members[name] = draw.choice((_bytes, _cut, _words, _move))(members[name], draw)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()
