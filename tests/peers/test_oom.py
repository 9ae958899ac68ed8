"""Allocations of every mode that fail, one in seven: see oom.py, and slow_oom.py
for all of them."""
import harness
import oom


class Some(oom.Sweeps):
    step = 7


if __name__ == "__main__":
    harness.main()
