"""Compresses a sharded checkpoint to a bit budget on a Ray cluster: map, reduce, map, reduce.

    pip install ray
    python many_machines.py CHECKPOINT_FOLDER WORK_FOLDER BITS

Both folders must be visible to all workers, and `occ` in their PATH. The work folder keeps what is
done, by budget: a second run continues a first one. Ray starts the task of a worker that died again.
"""

import os
import subprocess
import sys
from pathlib import Path

import ray

checkpoint, bits = Path(sys.argv[1]).resolve(), sys.argv[3]
work = Path(sys.argv[2]).resolve() / f"{bits} bits"
index = checkpoint / "model.safetensors.index.json"
shards = sorted(checkpoint.glob("*.safetensors"))
work.mkdir(parents=True, exist_ok=True)


def occ(*arguments):
    subprocess.run(["occ", "--quiet", *map(str, arguments)], check=True)


@ray.remote(max_retries=3)
def step(output, *arguments):
    # Outputs take their place when they are complete, so one that is there is whole.
    if not output.exists():
        print(output.name, "by process", os.getpid(), flush=True)
        occ(*arguments, "-o", output, "--force", "--threads", 1)
    return output


ray.init()
plans = [step.remote(work / f"{s.stem}.json", "plan", s, "--part", "--bits", bits) for s in shards]
plan = work / "plan.json"
occ("plan", "--merge", *ray.get(plans), "--bits", bits, "--index", index, "-o", plan, "--force")
parts = [step.remote(work / f"{s.stem}.occ", "compress", s, "--plan", plan) for s in shards]
occ("merge", *ray.get(parts), "--index", index, "-o", work / "model.occ", "--force")
