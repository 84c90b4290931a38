"""How results are printed: Markdown tables, medians with their spread."""

import sys
from statistics import median


def spread(values, digits=1):
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def table(title, heads, rows):
    print(f"\n{title}\n")
    for row in [heads, ["---"] * len(heads), *rows]:
        print("| " + " | ".join(row) + " |")
    sys.stdout.flush()
