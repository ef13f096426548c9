"""Changes of bytes, as disks and copies make them, and of texts, as people do."""

import re

import numpy as np

SCALARS = (
    *("nan", ".nan", ".inf", "-.inf", "1e308", "-1e308", "1e-320", "-1", "0", "0.0", "-0.0"),
    *("010", "0o17", "0x10", "1_000", "1:30", "1e3", "1,5", "0.05s", "99999999999999999999"),
    *("yes", "no", "true", "null", "~", "''", '"', "[]", "{}", "[1, 2]", "{a: 1}", "*x", "&x 3"),
    *(
        "!!python/object:os.system x",
        "2024-01-01",
        "\u0663",
        "ee_pose",
        "-",
        "- -",
        "? x",
        "%",
        "@",
    ),
)
VALUE = re.compile(r"[:,\[]\s*([^\s,\[\]{}:#][^,\[\]{}\n#]*)")
BLOCKS = (1, 4, 9, 16, 64, 512, 4096)


def mutated(data: bytes, rng: np.random.Generator, text: bool) -> bytes:
    """One to three changes of a file; mostly one of a text, which two make unreadable."""
    for _ in range(rng.choice([1, 1, 2, 3] if not text else [1, 1, 1, 2])):
        if text and rng.random() < 0.8:
            data = _text(data.decode("utf-8", "replace"), rng).encode()
        else:
            data = _bytes(data, rng)
    return data


def _bytes(data: bytes, rng: np.random.Generator) -> bytes:
    out = bytearray(data)
    if not out:
        return bytes(rng.bytes(8))
    at, size = int(rng.integers(len(out))), int(rng.choice(BLOCKS))
    end = min(at + size, len(out))
    match rng.integers(10):
        case 0:
            out[at] ^= 1 << int(rng.integers(8))
        case 1:
            out[at] = int(rng.integers(256))
        case 2:
            out[at:end] = bytes(end - at)
        case 3:
            out[at:end] = b"\xff" * (end - at)
        case 4:
            out[at:end] = rng.bytes(end - at)
        case 5:
            del out[at:end]
        case 6:
            out[at:at] = out[at:end]
        case 7:
            del out[at:]
        case 8:  # a length, a count, a place
            value = int(rng.choice([0, 1, 0x7F, 0xFF, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**62]))
            width = int(rng.choice([1, 2, 4, 8]))
            out[at : at + width] = (value % 256**width).to_bytes(width, "little")
        case _:
            other = int(rng.integers(len(out)))
            out[at:end] = out[other : other + end - at]
    return bytes(out)


def _text(text: str, rng: np.random.Generator) -> str:
    lines = text.split("\n")
    at = int(rng.integers(len(lines)))
    scalar = str(rng.choice(SCALARS))
    match rng.integers(8):
        case 0 | 1 | 2:  # a value, or one of a list
            places = [
                m.span(1) for m in re.finditer(r"[:,\[]\s*([^\s,\[\]{}:#][^,\[\]{}\n#]*)", text)
            ]
            if places:
                start, end = places[int(rng.integers(len(places)))]
                return text[:start] + scalar + text[end:]
        case 3:
            digits = [m.start() for m in re.finditer(r"\d", text)]
            if digits:
                place = digits[int(rng.integers(len(digits)))]
                return text[:place] + str(rng.integers(10)) + text[place + 1 :]
        case 4:
            del lines[at]
        case 5:
            lines.insert(at, lines[int(rng.integers(len(lines)))])
        case 6:
            lines[at] = " " * int(rng.integers(5)) + lines[at].lstrip()
        case _:
            lines[at] = lines[at].replace(":", f": {scalar}", 1)
    return "\n".join(lines)
