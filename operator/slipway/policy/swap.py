"""Two revisions in the places of one: the arithmetic of replicas and weights in a Swap.

A model of N replicas has N places, or a few more where some of the candidate's replicas found room.
While one of them is between two revisions, one place less answers: that is the *floor*. A weight is
one that the replicas carry which stand at that moment, so that no replica gets more than its part
of the traffic, or its part of what the floor carries while a place is empty.
"""

import math

from slipway.policy.weights import ALL


def replicas_for_weight(weight: int, places: int) -> int:
    """Return the candidate's replicas for a weight, as many as its share of the places.

    For all of the traffic one less will do: stable keeps the last place until the promotion.
    """
    return min(math.ceil(places * weight / ALL), max(1, places - 1)) if weight else 0


def weight_between(replicas: int, places: int) -> int:
    """Return the percent that `replicas` carry while one of the places is empty, rounded down."""
    standing = places - 1
    return ALL * min(replicas, standing) // standing if standing else 0


def weight_back(replicas: int, places: int) -> int:
    """Return the percent that stable's `replicas` may take back while a place is empty."""
    return ALL - weight_between(places - 1 - replicas, places) if replicas < places - 1 else ALL


def carriers_of(weight: int, places: int) -> int:
    """Return the fewest replicas that carry a weight while one of the places is empty.

    Percents are whole: a share that was rounded up to the next percent needs no further replica.
    """
    standing = max(1, places - 1)
    return (weight - 1) * standing // ALL + 1 if weight else 0


def fit_weight(weight: int, places: int) -> int:
    """Return the largest weight up to this one that the places can be divided for.

    To get a further replica, the candidate first takes what its others carry with one place empty:
    a weight below that is no reason to move one. Stable keeps a place for its control share.
    """
    if weight >= ALL:
        return ALL
    wanted = math.ceil(places * weight / ALL)
    if wanted > 1 and weight < weight_between(wanted - 1, places):
        return ALL * (wanted - 1) // places
    return weight
