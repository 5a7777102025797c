"""Time and memory of the commands of occ against the number of tensors and of weights.

    python3 benches/growth.py --occ target/release/occ --folder DIR

Needs numpy and, for 2 * 10^9 weights, 10 GB on the disk of DIR. Weights are normal, BF16; compression takes
3 bits per weight. Times are wall-clock seconds of one run with all threads, memory is the largest resident set.
The input is in the page cache.
"""

import argparse
import json
import multiprocessing
import os
import struct
import subprocess
import time

# The number of tensors and their shape.
BY_TENSORS = [(count, (64, 64)) for count in (1_000, 10_000, 100_000)]
BY_WEIGHTS = [(1, (2560, 4096)), (6, (4096, 4096)), (60, (4096, 4096)), (120, (4096, 4096))]


def write_model(path, count, shape):
    """Writes a safetensors file. Tensors differ: they are parts of one sequence at different places."""
    import numpy as np

    rows, columns = shape
    size = 2 * rows * columns
    noise = np.random.default_rng(1).standard_normal(1 << 24, dtype=np.float32) * 0.02
    # The upper halves of the bits.
    sequence = np.tile((noise.view(np.uint32) >> 16).astype(np.uint16), 2)
    header = {
        f"layers.{i // 128}.experts.{i % 128}.weight": {
            "dtype": "BF16",
            "shape": list(shape),
            "data_offsets": [i * size, (i + 1) * size],
        }
        for i in range(count)
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for i in range(count):
            start = 4099 * i % (1 << 24)
            file.write(sequence[start : start + rows * columns].tobytes())


def run(command):
    """Seconds and the largest resident set in MB of a command."""
    start = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        raise SystemExit(f"{command} failed")
    return time.monotonic() - start, usage.ru_maxrss / 1000


def measure(occ, folder, count, shape):
    model, packed, restored = (os.path.join(folder, name) for name in ("m.safetensors", "m.occ", "r.safetensors"))
    # In another process: the resident set of a child counts that of its parent.
    writer = multiprocessing.get_context("spawn").Process(target=write_model, args=(model, count, shape))
    writer.start()
    writer.join()
    if writer.exitcode != 0:
        raise SystemExit("the model was not written")
    name = "layers.0.experts.0.weight"
    commands = [
        [occ, "plan", model, "--bits", "3", "-q", "--force", "-o", os.path.join(folder, "plan.json")],
        [occ, "compress", model, "--bits", "3", "-q", "--force", "-o", packed],
        [occ, "extract", packed, name, "-q", "--force", "-o", os.path.join(folder, "tensor")],
        [occ, "verify", packed, "-q"],
        [occ, "verify", "--deep", packed, "-q"],
        [occ, "decompress", packed, "-q", "--force", "-o", restored],
    ]
    cells = ["%.2f s, %.0f MB" % run(command) for command in commands]
    weights = count * shape[0] * shape[1]
    print(f"| {count:,} | {weights:.2g} | " + " | ".join(cells) + " |", flush=True)
    for path in (model, packed, restored):
        os.remove(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--occ", default="target/release/occ")
    parser.add_argument("--folder", required=True)
    arguments = parser.parse_args()
    print("| tensors | weights | plan | compress | extract one | verify | verify --deep | decompress |")
    print("|---|---|---|---|---|---|---|---|")
    for count, shape in BY_TENSORS + BY_WEIGHTS:
        measure(arguments.occ, arguments.folder, count, shape)


if __name__ == "__main__":
    main()
