"""What a folder of 100,000 images takes of memory, against one of 10,000: loading it, then hundreds of batches.

python benchmarks/memory.py                 # about 3 minutes on 2 cores

Each folder is measured in a process of its own, by the memory that the system says it holds (RSS) and the most it held.
The images are small, so that what grows with their number shows, and what is decoded does not.
"""

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

COUNTS = (10_000, 100_000)
CLASSES = 10
BATCHES = 300
SIDE = 32
MB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", type=Path, help="A folder to measure, in this process.")
    folder = parser.parse_args().measure
    if folder is not None:
        print(json.dumps(measure(folder)))
        return
    rows = {}
    with tempfile.TemporaryDirectory() as work:
        for count in COUNTS:
            write_images(Path(work) / str(count), count)
            command = [sys.executable, __file__, "--measure", str(Path(work) / str(count))]
            rows[count] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"{'images':>8} {'start':>8} {'loaded':>8} {'trained':>8} {'most':>8}   MB")
    for count, row in rows.items():
        print(f"{count:>8,} " + " ".join(f"{row[name]:>8.0f}" for name in ("start", "loaded", "trained", "most")))
    few, many = (rows[count]["trained"] for count in COUNTS)
    print(f"MB for each further 10,000 images: {(many - few) / (COUNTS[1] - COUNTS[0]) * 10_000:.1f}")


def measure(folder: Path) -> dict[str, float]:
    """Memory in MB before the folder is loaded, after that, after some hundred training batches, and at most."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from pocketzoo import training
    from pocketzoo.training.data.pipeline import training_batches

    recipe = training.Recipe(epochs=100, batch_size=32, augmentation="standard")
    found = {"start": held()}
    data = training.load_data(folder, image_size=SIDE)
    found["loaded"] = held()
    for _ in training_batches(data.train, recipe).take(BATCHES):
        pass
    found["trained"] = held()
    return found | {"most": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MB}


def held() -> float:
    """Resident memory of this process in MB, on Linux."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MB


def write_images(folder: Path, count: int) -> None:
    """Class folders of JPEG files, each of another picture."""
    import numpy as np
    from PIL import Image

    draw = np.random.default_rng(0)
    for number in range(count):
        part = folder / f"class{number % CLASSES}"
        if number < CLASSES:
            part.mkdir(parents=True)
        small = Image.fromarray(draw.integers(0, 256, (4, 4, 3), dtype="uint8"))
        encoded = io.BytesIO()
        small.resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(encoded, "JPEG")
        (part / f"{number:06}.jpg").write_bytes(encoded.getvalue())


if __name__ == "__main__":
    main()
