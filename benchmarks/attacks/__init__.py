"""The parts of `benchmarks/attack.py`: kills, mutations, full disks and bad command lines."""
