# SPDX-License-Identifier: MIT
"""Reads a safetensors file with NumPy alone, as strictly as the published format asks for
(huggingface.co/docs/safetensors), and checks what the library adds to it: the sum, and where data begins.

usage: read_safetensors.py FILE [FOLDER]

Prints the metadata and the tensors. With FOLDER each tensor must be, bit for bit, FOLDER/NAME.npy, where '_' stands for
every byte of the name that is no letter, digit or point, and every .npy file there must be a tensor.
"""
import json
import pathlib
import re
import struct
import sys
import zlib

import numpy as np

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
          "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1"}
MOST = 100_000_000  # bytes of header
BEFORE_SUM = b'{"__metadata__":{"format":"libopt","crc32":"'


def require(holds, what):
    if not holds:
        sys.exit(f"{sys.argv[1]}: {what}")


def unique(pairs):
    names = [name for name, _ in pairs]
    require(len(set(names)) == len(names), "two of a name")
    return dict(pairs)


def check_sum(file):
    """zlib's crc32 of the whole file, with the digits of the sum itself taken as 0."""
    at = 8 + len(BEFORE_SUM)
    require(file[8:at] == BEFORE_SUM, "the metadata does not begin with the format and the sum")
    digits = file[at:at + 8]
    found = zlib.crc32(file[:at] + b"00000000" + file[at + 8:])
    require(digits == b"%08x" % found, f"the sum is {found:08x}, not {digits.decode()}")


def array(name, entry, data):
    require(set(entry) == {"dtype", "shape", "data_offsets"}, f"{name}: other members")
    dtype = np.dtype(DTYPES[entry["dtype"]])
    shape, (begin, end) = entry["shape"], entry["data_offsets"]
    numbers = [*shape, begin, end]
    require(all(type(n) is int and n >= 0 for n in numbers), f"{name}: a shape or offset is no whole number")
    require(end - begin == dtype.itemsize * int(np.prod(shape, dtype=np.int64)), f"{name}: another size")
    require(begin % dtype.itemsize == 0, f"{name}: begins at {begin}, no multiple of its elements' size")
    return np.frombuffer(data[begin:end], dtype).reshape(shape)


def read(path):
    file = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack("<Q", file[:8])
    require(length <= MOST and 8 + length <= len(file), f"a header of {length} bytes")
    require((8 + length) % 8 == 0, f"the data begins at {8 + length}, no multiple of 8")
    text, data = file[8:8 + length].decode("utf-8"), file[8 + length:]
    require(text.startswith("{") and text.rstrip(" ").endswith("}"), "the header is not in braces")
    header = json.loads(text, object_pairs_hook=unique)
    metadata = header.pop("__metadata__")
    require(all(type(value) is str for value in metadata.values()), "metadata that is not text")
    check_sum(file)
    end = 0
    for begin, stop in sorted(entry["data_offsets"] for entry in header.values()):
        require(begin == end, f"a gap or an overlap at {begin}")
        end = stop
    require(end == len(data), f"{len(data)} bytes of data where the header says {end}")
    return metadata, {name: array(name, entry, data) for name, entry in header.items()}


def compare(tensors, folder):
    tensors = unique([(re.sub(rb"[^A-Za-z0-9.]", b"_", name.encode()).decode(), x) for name, x in tensors.items()])
    arrays = {path.name[:-4]: np.load(path) for path in pathlib.Path(folder).glob("*.npy")}
    require(set(arrays) == set(tensors), f"tensors {sorted(tensors)}, arrays {sorted(arrays)}")
    for name, x in arrays.items():
        y = tensors[name]
        require(x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes(), f"{name} differs")
    print(f"{len(arrays)} arrays are the same")


def main():
    metadata, tensors = read(sys.argv[1])
    for key, value in metadata.items():
        print(f"{key} = {value}")
    for name, x in tensors.items():
        print(name, x.dtype, list(x.shape))
    if "lr" in metadata:
        print("lr is", float.fromhex(metadata["lr"]))
    if len(sys.argv) > 2:
        compare(tensors, sys.argv[2])


main()
