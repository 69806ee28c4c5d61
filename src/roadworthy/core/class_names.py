"""What a class is called: labels are numbers in records, and names in prediction sets."""

from __future__ import annotations

import math
from collections.abc import Sequence


def class_name(label: float, classes: Sequence[str] = ()) -> str:
    """The name that a set uses for a label; its number where no name is known.

    >>> class_name(1.0, ("no", "yes")), class_name(3.0), class_name(0.5)
    ('yes', '3', '0.5')
    """
    if not math.isfinite(label) or int(label) != label:
        return str(label)
    number = int(label)
    return classes[number] if 0 <= number < len(classes) else str(number)
