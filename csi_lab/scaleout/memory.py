"""How many random groups a pass can keep, so that its sums stay within a stated memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from csi_lab.errors import SpecError
from csi_lab.scaleout.kernel import Recipe

# Megabytes for all sums that are held at once.
MEMORY = 200.0
# Sums held at once by two threads: each thread has one and adds another, three are ready, five are in the tree.
COPIES = 12
# Megabytes beyond which sums that cannot be made smaller are refused rather than risked.
MOST = 2_000.0
# A standard error from k groups is off by 1 / sqrt(2(k - 1)): 13 % with 30 groups, 5 % with 200.
FEWEST = 30
FEWEST_WHOLE = 200


@dataclass(frozen=True)
class Room:
    """What a recipe may keep, and what had to be given up for it.

    Attributes
    ----------
    recipe
        With numbers of random groups that fit.
    megabytes
        All sums held at once, about.
    notes
        What is kept less finely than asked for, one sentence each.
    """

    recipe: Recipe
    megabytes: float
    notes: tuple[str, ...]


def within(recipe: Recipe, labels: Sequence[int], memory: float, fixed: int) -> Room:
    """The recipe with as many random groups as fit.

    Parameters
    ----------
    recipe
        With the numbers of groups that are asked for.
    labels
        Combinations of labels of each of its keys.
    memory
        Megabytes for all sums held at once.
    fixed
        How many of the first keys are needed for any interval and cannot be given up.

    Raises
    ------
    SpecError
        If even the fewest sums that make sense do not fit; it says what to do.

    Notes
    -----
    A sum over p items takes 8 (2 + p + p squared) bytes, :math:`c` bytes over all sets of items together. Random groups
    of all respondents get at most half of the room. Those of labels are as many as fit, alike in all keys, and no fewer
    than 30; where 30 do not fit, the key of most labels keeps a single sum for each.

    Examples
    --------
    >>> from csi_lab.scaleout.columns import Recode
    >>> names = tuple(f"q{i}" for i in range(24))
    >>> asked = Recipe(names, (5.0,) * 24, (Recode(),) * 24, keys=(("town",),), random_groups=1000, key_groups=(200,))
    >>> within(asked, [10], 200.0, 0).recipe.key_groups
    (200,)
    >>> room = within(asked, [400], 200.0, 0)
    >>> room.recipe.key_groups, room.notes[0][:56]
    ((0,), "The 400 segments of 'town' have no intervals: their rand")
    """
    sizes = [len(recipe.items), *map(len, recipe.sets)]
    bytes_each = 8 * sum(2 + p + p * p for p in sizes)
    room = memory * 1e6 / COPIES / bytes_each - 1  # in sums, besides the one of all rows
    notes = []
    asked = max(recipe.key_groups, default=0)
    least = min(asked, FEWEST)
    least_whole = min(recipe.random_groups, FEWEST_WHOLE)
    kept = list(range(len(labels)))
    while asked and len(kept) > fixed and room - least_whole < least * sum(labels[k] for k in kept):
        kept.remove(max(kept[fixed:], key=lambda k: (labels[k], k)))
    given_up = [k for k in range(len(labels)) if k not in kept]
    room -= sum(labels[k] for k in given_up)
    half = min(int(room / 2), int(room - least * sum(labels[k] for k in kept)))
    whole = max(min(recipe.random_groups, half), least_whole)
    if whole < recipe.random_groups:
        notes.append(
            f"{whole} random groups in place of {recipe.random_groups}, so that sums stay within {memory:g} MB; give "
            "more with memory=."
        )
    if asked:
        each = max(min(asked, int((room - whole) / max(sum(labels[k] for k in kept), 1))), least)
        groups = tuple(each if k in kept else 0 for k in range(len(labels)))
        if kept and each < asked:
            notes.append(
                f"{each} random groups for each label in place of {asked}, so that sums stay within {memory:g} MB; "
                "give more with memory=."
            )
        for k in given_up:
            needed = (1 + least_whole + least * (sum(labels[j] for j in kept) + labels[k])) * bytes_each * COPIES / 1e6
            notes.append(
                f"The {labels[k]} segments of {recipe.keys[k][-1]!r} have no intervals: their random groups do not fit "
                f"into {memory:g} MB; pass again with memory={np.ceil(needed):.0f}, fewer items, or broader segments."
            )
    else:
        groups = (0,) * len(labels)
    cells = 1 + whole + sum(max(g, 1) * n for g, n in zip(groups, labels, strict=True))
    megabytes = cells * bytes_each * COPIES / 1e6
    if megabytes > max(MOST, memory):
        counted = ", ".join(f"{n} of {' x '.join(key)}" for key, n in zip(recipe.keys, labels, strict=True))
        raise SpecError(
            f"the sums of this pass would take about {megabytes:,.0f} MB (labels: {counted or 'none'}); use fewer "
            f"items, broader segments or fewer of them, or allow it with"
            f" memory={np.ceil(megabytes):.0f} where there is as much"
        )
    if megabytes > memory:
        notes.append(f"The sums of this pass take about {megabytes:.0f} MB; fewer items or segments take less.")
    return Room(replace(recipe, random_groups=whole, key_groups=groups), megabytes, tuple(notes))
