"""`make bench`: every benchmark of the project, one after the other; all figures are ratios measured in one run."""

from tests.bench import cost

if __name__ == "__main__":
    cost.main()
