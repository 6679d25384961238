"""Files per second of `pocketzoo data`, next to a bare loop that decodes the same files with Pillow.

    python benchmarks/data_survey.py                           # 2,000 photos; threshold: a ratio of at most 4
    python benchmarks/data_survey.py --count 50000 --side 16   # many tiny files
    python benchmarks/data_survey.py --slope                   # whether the time of a file grows with their number

The files are made in the folder for temporary files and removed. Each round reads them in all ways in turn; the result
is the ratio of the medians. The loop decodes in as many threads as the survey does.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import shutil
import statistics
import tempfile
import time
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
from PIL import Image

from pocketzoo import training

ROUNDS = 3
THRESHOLD = 4.0
CLASSES = 10
SLOPE = (500, 2_000, 8_000)


def make_files(folder: Path, count: int, width: int, height: int) -> list[Path]:
    """Return different files in class folders, nine JPEGs for each PNG."""
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (min(count, 50), max(2, height // 8), max(2, width // 8), 3), dtype=np.uint8)
    pictures = [np.asarray(Image.fromarray(pixels).resize((width, height))).copy() for pixels in small]
    paths = [
        folder / f"class{number % CLASSES}" / f"{number}.{'jpg' if number % 10 else 'png'}" for number in range(count)
    ]
    for name in range(CLASSES):
        (folder / f"class{name}").mkdir(parents=True)
    for number, path in enumerate(paths):
        picture = pictures[number % len(pictures)]
        picture[:2, :2, 0], picture[:2, -2:, 1] = number % 251, number // 251 % 251
        Image.fromarray(picture).save(path, **({"quality": 90} if path.suffix == ".jpg" else {"compress_level": 1}))
    return paths


def decode(path: Path) -> None:
    with Image.open(path) as image:
        image.load()


def decode_all(paths: list[Path]) -> None:
    with ThreadPool() as pool:
        pool.map(decode, paths, chunksize=16)


def measure(folder: Path, count: int, width: int, height: int, rounds: int = ROUNDS) -> dict[str, float]:
    """Return the median seconds of each way to read the files."""
    paths = make_files(folder, count, width, height)
    ways = {
        "Pillow decodes": lambda: decode_all(paths),
        "survey": lambda: training.survey(folder),
        "headers": lambda: training.survey_headers(folder),
        "load_data": lambda: training.load_data(folder, on_unreadable="skip"),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - start)
    shutil.rmtree(folder)
    return {name: statistics.median(kept) for name, kept in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--side", type=int, help="Width and height; 500x375 if not set.")
    parser.add_argument("--slope", action="store_true")
    arguments = parser.parse_args()
    width, height = (arguments.side, arguments.side) if arguments.side else (500, 375)
    with tempfile.TemporaryDirectory() as temporary:
        if arguments.slope:
            found = [measure(Path(temporary) / str(count), count, 16, 16) for count in SLOPE]
            print(f"{'files':>16} " + " ".join(f"{count:>8,}" for count in SLOPE) + "   microseconds a file")
            for name in found[0]:
                shown = (1e6 * times[name] / count for times, count in zip(found, SLOPE, strict=True))
                print(f"{name:>16} " + " ".join(f"{value:8.0f}" for value in shown))
            return
        times = measure(Path(temporary) / "files", arguments.count, width, height)
    bare = times["Pillow decodes"]
    print(f"{arguments.count:,} files of {width}x{height}, medians of {ROUNDS} rounds in turn")
    for name, seconds in times.items():
        print(
            f"{name:>16} {seconds:8.1f} s {arguments.count / seconds:8.0f} files/s   {seconds / bare:6.2f} x the loop"
        )
    if not arguments.side:
        print("ok" if times["survey"] / bare <= THRESHOLD else "over", f"(threshold {THRESHOLD:g})")


if __name__ == "__main__":
    main()
