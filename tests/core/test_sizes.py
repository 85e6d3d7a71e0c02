"""Sizes of spare room, against the rounding rules of cluster-proportional-autoscaler."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from autoscaler.core.sizes import Count, Extent, Ladder, Linear, Share, Size, read_ladder, read_linear, read_size
from autoscaler.core.virtual import measure
from tests import builders


def extent(cores: int, nodes: int, more_nodes: int = 0) -> Extent:
    """So many schedulable cores and nodes, and as many cores on `more_nodes` that are not."""
    return Extent(
        cores=cores * (2 if more_nodes else 1),
        nodes=nodes + more_nodes,
        schedulable_cores=cores,
        schedulable_nodes=nodes,
    )


@pytest.mark.parametrize(
    ("parameters", "cores", "nodes", "replicas"),
    [
        ({"coresPerReplica": 2}, 4, 3, 2),
        ({"coresPerReplica": 2}, 5, 3, 3),
        ({"coresPerReplica": 0.5}, 5, 3, 10),
        ({"nodesPerReplica": 2.5}, 900, 6, 3),
        ({"coresPerReplica": 2, "nodesPerReplica": 1}, 4, 3, 3),
        ({"coresPerReplica": 256, "nodesPerReplica": 16}, 0, 0, 1),
        ({"coresPerReplica": 256, "min": 0}, 1, 1, 1),
        ({"coresPerReplica": 256, "min": 3}, 1, 1, 3),
        ({"coresPerReplica": 1, "max": 7}, 100, 1, 7),
        ({"coresPerReplica": 256, "preventSinglePointFailure": True}, 1, 1, 1),
        ({"coresPerReplica": 256, "preventSinglePointFailure": True}, 1, 2, 2),
        ({"coresPerReplica": 1, "max": 1, "preventSinglePointFailure": True}, 9, 2, 2),
        # a term that is missing counts as one, whatever the minimum
        ({"nodesPerReplica": 10, "min": 2}, 900, 1, 2),
        ({"coresPerReplica": 1e-320}, 1, 1, 10**9),
    ],
)
def test_linear(parameters: dict[str, Any], cores: int, nodes: int, replicas: int) -> None:
    assert read_linear(json.dumps(parameters)).replicas(extent(cores, nodes)) == replicas


@pytest.mark.parametrize(
    ("parameters", "cores", "nodes", "replicas"),
    [
        ({"coresToReplicas": [[1, 1], [64, 3], [512, 5]]}, 63, 1, 1),
        ({"coresToReplicas": [[1, 1], [64, 3], [512, 5]]}, 64, 1, 3),
        ({"coresToReplicas": [[512, 5], [64, 3], [1, 1]]}, 511, 1, 3),
        ({"coresToReplicas": [[64, 3]]}, 0, 0, 3),
        ({"nodesToReplicas": [[1, 0], [2, 2]]}, 900, 1, 0),
        ({"nodesToReplicas": [[1, 0], [2, 2]]}, 900, 2, 2),
        ({"coresToReplicas": [[1, 1]], "nodesToReplicas": [[1, 4]]}, 1, 1, 4),
    ],
)
def test_ladder(parameters: dict[str, Any], cores: int, nodes: int, replicas: int) -> None:
    assert read_ladder(json.dumps(parameters)).replicas(extent(cores, nodes)) == replicas


def test_nodes_that_cannot_be_used_count_where_it_says_so() -> None:
    wide = {"nodesPerReplica": 1, "includeUnschedulableNodes": True}
    assert read_linear(wide).replicas(extent(4, 2, more_nodes=3)) == 5
    assert read_linear({"nodesPerReplica": 1}).replicas(extent(4, 2, more_nodes=3)) == 2
    steps = {"coresToReplicas": [[1, 1], [5, 2]]}
    assert read_ladder(steps | {"includeUnschedulableNodes": True}).replicas(extent(4, 2, more_nodes=3)) == 2


def test_cores_are_allocatable_and_rounded_up_at_the_end() -> None:
    amounts = builders.resources(cpu="1930m", memory="7Gi", pods="29")
    nodes = [builders.node(name, allocatable=amounts) for name in "abc"]
    nodes += [builders.node("d", allocatable=amounts, is_cordoned=True), builders.node("e", allocatable=amounts,
                                                                                       ready=False)]  # fmt: skip
    found = measure(nodes)
    assert (found.schedulable_cores, found.schedulable_nodes) == (6, 3)
    assert (found.cores, found.nodes) == (10, 5)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("3", Count(3)),
        (" 10% ", Share(10)),
        ('{"linear": {"coresPerReplica": 2}}', Linear(cores_per_replica=2)),
        ('{"coresPerReplica": 2, "min": 1}', Linear(cores_per_replica=2)),
        ('{"ladder": {"nodesToReplicas": [[1, 2]]}}', Ladder(nodes=((1, 2),))),
        ('{"nodesToReplicas": [[1, 2]]}', Ladder(nodes=((1, 2),))),
    ],
)
def test_one_text_for_all(text: str, size: Size) -> None:
    assert read_size(text) == size


@pytest.mark.parametrize(
    ("percent", "pods", "replicas"), [(10, 0, 0), (10, 1, 1), (10, 10, 1), (10, 11, 2), (150, 3, 5)]
)
def test_percentages_round_up(percent: int, pods: int, replicas: int) -> None:
    assert Share(percent).replicas(Extent(pods=pods)) == replicas


@pytest.mark.parametrize(
    ("read", "value", "told"),
    [
        (read_size, "many", "expected a count such as 3"),
        (read_size, "-1", "expected a count such as 3"),
        (read_size, "{", "no JSON"),
        (read_linear, "[]", "expected an object"),
        (read_linear, {}, "must be greater than 0"),
        (read_linear, {"coresPerReplica": -1}, "coresPerReplica: expected a number from 0"),
        (read_linear, {"coresPerReplica": "2"}, "coresPerReplica: expected a number"),
        (read_linear, {"coresPerReplica": True}, "coresPerReplica: expected a number"),
        (read_linear, {"coresPerReplica": 1, "min": 4, "max": 3}, "max 3 is less than min 4"),
        (read_linear, '{"coresPerReplica": 1' + 400 * "0" + "}", "coresPerReplica: expected a number from 0"),
        (read_linear, '{"coresPerReplica": 1e999}', "coresPerReplica: expected a number from 0"),
        (read_linear, '{"coresPerReplica": NaN}', "coresPerReplica: expected a number from 0"),
        (read_linear, {"coresPerReplica": 1, "min": 1.5}, "min: expected a whole number"),
        (read_linear, {"coresPerReplicas": 1}, "unknown coresPerReplicas"),
        (read_linear, {"coresPerReplica": 1, "preventSinglePointFailure": "yes"}, "expected true or false"),
        (read_ladder, {}, "must hold a step"),
        (read_ladder, {"coresToReplicas": [[1]]}, "coresToReplicas: expected steps"),
        (read_ladder, {"coresToReplicas": [[1, 1.5]]}, "coresToReplicas: expected steps"),
        (read_ladder, {"nodesToReplicas": [[1, -1]]}, "nodesToReplicas: expected steps"),
        (read_ladder, {"nodesToReplicas": {"1": 2}}, "nodesToReplicas: expected steps"),
    ],
)
def test_what_is_wrong_is_told(read: Callable[[Any], object], value: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read(value)
