"""How busy slots were, from when evaluations began and ended."""

from collections.abc import Mapping


def busy_share(began: Mapping[int, float], ended: Mapping[int, float], slots: int, until: float) -> tuple[float, float]:
    """Share of the slots' time in use, from the moment when all were first busy `until` a time; and that moment.

    `began` and `ended` have the seconds of each evaluation. Raises ValueError if all slots were never busy.
    """
    changes = sorted([(time, 1) for time in began.values()] + [(time, -1) for time in ended.values()])
    busy = 0
    for time, change in changes:
        busy += change
        if busy == slots:
            ready = time
            break
    else:
        raise ValueError(f"the {slots} slots were never all busy")
    used = sum(max(0.0, min(ended[key], until) - max(began[key], ready)) for key in ended)
    return used / (slots * (until - ready)), ready
