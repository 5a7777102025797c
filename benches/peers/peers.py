"""Compares occ with other compressors of weights, one thread each: see ../peers.md."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median
from unittest.mock import MagicMock

import lz4.block
import numpy as np
import zstandard
from pcodec import ChunkConfig, standalone
from safetensors import safe_open

# ZipNN imports torch but does not use it to compress bytes.
sys.modules.setdefault("torch", MagicMock())
from zipnn import ZipNN

PACKAGES = ["lz4", "numpy", "pcodec", "safetensors", "zipnn", "zstandard"]
SYNTHETIC_BYTES = 64 << 20
MAX_BYTES = 64 << 20  # as many as occ bench uses
# By safetensors dtype: the name in ZipNN, and the type in pco if it has one.
DTYPES = {
    "BF16": ("bfloat16", None),
    "F16": ("float16", np.float16),
    "F32": ("float32", np.float32),
}
SIZES = {"BF16": 2, "F16": 2, "F32": 4, "U16": 2}

Tensors = dict[str, np.ndarray]  # bytes, by name


@dataclass
class Peer:
    """A codec and its times in all rounds."""

    name: str
    encode: Callable | None  # from bytes to compressed data; None if nothing is compressed
    decode: Callable | None  # from compressed data to consecutive buffers
    modifies_input: bool = False
    ratio: float | None = None
    encode_seconds: list[float] = field(default_factory=list)
    decode_seconds: list[float] = field(default_factory=list)

    def run(self, data: np.ndarray) -> None:
        coded = None
        if self.encode:
            source = bytearray(data) if self.modifies_input else data
            seconds, coded = timed(self.encode, source)
            self.encode_seconds.append(seconds)
            self.ratio = len(coded) / data.nbytes
        seconds, decoded = timed(self.decode, coded)
        self.decode_seconds.append(seconds)
        if not np.array_equal(joined(decoded), data):
            sys.exit(f"{self.name}: decoded bytes differ")


def timed(work: Callable, *args) -> tuple[float, object]:
    start = time.perf_counter()
    result = work(*args)
    return time.perf_counter() - start, result


def joined(buffers: list) -> np.ndarray:
    return np.concatenate([np.frombuffer(buffer, np.uint8) for buffer in buffers])


def peers(data: np.ndarray, dtype: str, stored: Path, names: list[str]) -> list[Peer]:
    zipnn_dtype, pco_dtype = DTYPES[dtype]
    out = np.empty_like(data)

    def copy(_) -> list:
        np.copyto(out, data)
        return [out]

    def load(_) -> list:
        with safe_open(stored, "numpy") as file:
            return [file.get_tensor(name) for name in names]

    zipnn = ZipNN(input_format="byte", bytearray_dtype=zipnn_dtype, threads=1)
    found = [
        Peer("memcpy", None, copy),
        Peer("safetensors, load", None, load),
        *(zstd(level) for level in (1, 3)),
        Peer("lz4", lz4.block.compress, lambda coded: [lz4.block.decompress(coded)]),
        Peer("ZipNN", zipnn.compress, lambda coded: [zipnn.decompress(coded)], modifies_input=True),
    ]
    if pco_dtype:
        found.append(pco(out, pco_dtype))
    return found


def zstd(level: int) -> Peer:
    compressor = zstandard.ZstdCompressor(level=level)
    decompressor = zstandard.ZstdDecompressor()
    return Peer(
        f"zstd {level}", compressor.compress, lambda coded: [decompressor.decompress(coded)]
    )


def pco(out: np.ndarray, dtype: type) -> Peer:
    def encode(data: np.ndarray) -> bytes:
        return standalone.simple_compress(data.view(dtype), ChunkConfig())

    def decode(coded: bytes) -> list:
        standalone.simple_decompress_into(coded, out.view(dtype))
        return [out]

    return Peer("pco", encode, decode)


def run_occ(occ: Path, file: Path, data: np.ndarray, found: dict[str, Peer]) -> None:
    """One run of occ and of zstd within occ, which shows the overhead of Python."""
    command = [occ, "bench", file, "--json", "--rounds", "1", "--threads", "1"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    results = {result["name"]: result for result in report}
    for name, steps in {
        "zstd 1, run by occ": ("zstd -1 compress", "zstd -1 decompress"),
        "**occ**, lossless": ("lossless encode", "lossless decode"),
    }.items():
        encode, decode = (results[step] for step in steps)
        assert encode["bytes"] == data.nbytes
        peer = found.setdefault(name, Peer(name, None, None, ratio=encode["ratio"]))
        peer.encode_seconds.append(1e-9 * data.nbytes / encode["gb_per_s"])
        peer.decode_seconds.append(1e-9 * data.nbytes / decode["gb_per_s"])


def measure(occ: Path, dtype: str, tensors: Tensors, rounds: int, folder: Path) -> list[Peer]:
    """Runs every codec once in each round. The first round is for warm-up and is not counted."""
    data = np.concatenate(list(tensors.values()))
    original, stored = folder / f"{dtype}.safetensors", folder / f"{dtype}-stored.safetensors"
    write(original, dtype, tensors)
    # NumPy has no bfloat16. Loading integers of the same size takes the same time.
    write(stored, {"BF16": "U16"}.get(dtype, dtype), tensors)
    found = {peer.name: peer for peer in peers(data, dtype, stored, list(tensors))}
    in_python = list(found.values())
    for _ in range(rounds + 1):
        for peer in in_python:
            peer.run(data)
        run_occ(occ, original, data, found)
    for peer in found.values():
        del peer.encode_seconds[:1], peer.decode_seconds[:1]
    return list(found.values())


def table(found: list[Peer], nbytes: int) -> str:
    def speed(seconds: list[float]) -> float | None:
        return 1e-9 * nbytes / median(seconds) if seconds else None

    def cell(number: float | None, digits: int) -> str:
        return "" if number is None else f"{number:.{digits}f}"

    lines = [
        "| | ratio | compress, GB/s | decompress, GB/s | decompress, zstd 1 = 1 |",
        "|---|---|---|---|---|",
    ]
    zstd1 = next(speed(peer.decode_seconds) for peer in found if peer.name == "zstd 1")
    for peer in found:
        encode, decode = speed(peer.encode_seconds), speed(peer.decode_seconds)
        cells = [cell(peer.ratio, 3), cell(encode, 2), cell(decode, 2), cell(decode / zstd1, 2)]
        lines.append(f"| {peer.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def synthetic(dtype: str) -> Tensors:
    """Gaussian weights with standard deviation 0.02, the same in every run."""
    random = np.random.default_rng(1)
    singles = 0.02 * random.standard_normal(SYNTHETIC_BYTES // SIZES[dtype], np.float32)
    if dtype == "F16":
        values = singles.astype(np.float16)
    elif dtype == "BF16":
        bits = singles.view(np.uint32)
        values = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)  # to nearest
    else:
        values = singles
    return {f"w{i}": part for i, part in enumerate(np.split(values.view(np.uint8), 16))}


def read(path: Path) -> dict[str, Tensors]:
    """The tensors of a safetensors file by dtype, up to 64 MiB of each."""
    file = np.memmap(path, np.uint8, "r")
    length = int.from_bytes(file[:8].tobytes(), "little")
    header = json.loads(file[8 : 8 + length].tobytes())
    found: dict[str, Tensors] = {}
    room = dict.fromkeys(DTYPES, MAX_BYTES)
    for name, entry in header.items():
        dtype = entry.get("dtype")
        if dtype not in DTYPES:
            continue
        start, end = entry["data_offsets"]
        if 0 < end - start <= room[dtype]:
            room[dtype] -= end - start
            data = np.array(file[8 + length + start : 8 + length + end])
            found.setdefault(dtype, {})[name] = data
    return found


def write(path: Path, dtype: str, tensors: Tensors) -> None:
    """Writes tensors as vectors, for which occ omits the lossy codecs."""
    header, end = {}, 0
    for name, data in tensors.items():
        start, end = end, end + data.nbytes
        shape = [data.nbytes // SIZES[dtype]]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for data in tensors.values():
            file.write(data)


def keep_freed_memory() -> None:
    """Restarts the script with settings of glibc that keep freed memory, also for occ. Otherwise
    page faults would be measured, too. Other C libraries ignore the settings."""
    if "GLIBC_TUNABLES" not in os.environ:
        most = 2**31 - 1
        tunables = f"glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold={most}"
        os.environ["GLIBC_TUNABLES"] = tunables
        os.execv(sys.executable, [sys.executable, *sys.argv])


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", help="a .safetensors file")
    parser.add_argument("--occ", type=Path, required=True, help="path of the occ command")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (default 5)")
    args = parser.parse_args()
    keep_freed_memory()
    occ = args.occ.resolve()
    source = args.file.name if args.file else "synthetic weights"
    weights = read(args.file) if args.file else {dtype: synthetic(dtype) for dtype in DTYPES}
    occ_version = subprocess.run([occ, "--version"], check=True, capture_output=True, text=True)
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    print(f"{date.today()}, {processor()}, one thread, medians of {args.rounds} rounds; {source}.")
    print(f"{occ_version.stdout.strip()}; {versions}; Python {platform.python_version()}.")
    with tempfile.TemporaryDirectory() as folder:
        for dtype, tensors in weights.items():
            found = measure(occ, dtype, tensors, args.rounds, Path(folder))
            nbytes = sum(data.nbytes for data in tensors.values())
            print(f"\n### {dtype}, {1e-6 * nbytes:.1f} MB\n\n{table(found, nbytes)}", flush=True)


if __name__ == "__main__":
    main()
