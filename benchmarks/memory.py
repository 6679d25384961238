"""Memory for training on a folder of 100,000 images, compared with one of 10,000.

python benchmarks/memory.py                 # about 3 minutes on 2 cores

Each folder is loaded in a separate process and read for 300 batches. The resident memory (RSS) is measured, and its
peak. The images are small, so that memory that grows with their number is visible next to decoded images.
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
    parser.add_argument("--measure", type=Path, help="Measure this folder in the current process.")
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
    print(f"{'images':>8} {'start':>8} {'loaded':>8} {'trained':>8} {'peak':>8}   MB")
    for count, row in rows.items():
        print(f"{count:>8,} " + " ".join(f"{row[name]:>8.0f}" for name in ("start", "loaded", "trained", "peak")))
    few, many = (rows[count]["trained"] for count in COUNTS)
    print(f"MB per further 10,000 images: {(many - few) / (COUNTS[1] - COUNTS[0]) * 10_000:.1f}")


def measure(folder: Path) -> dict[str, float]:
    """Return the memory in MB before the folder is loaded, after that, and after the training batches; and the peak."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from pocketzoo import training
    from pocketzoo.training.data.pipeline import training_batches

    recipe = training.Recipe(epochs=100, batch_size=32, augmentation="standard")
    memory = {"start": resident_memory()}
    data = training.load_data(folder, image_size=SIDE)
    memory["loaded"] = resident_memory()
    for _ in training_batches(data.train, recipe).take(BATCHES):
        pass
    memory["trained"] = resident_memory()
    return memory | {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MB}


def resident_memory() -> float:
    """Return the resident memory of this process in MB, on Linux."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MB


def write_images(folder: Path, count: int) -> None:
    """Write class folders of JPEG files, each of a different picture."""
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
