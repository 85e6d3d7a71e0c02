"""Which groups are ours: by tags, by name, or both.

Tags are ANDed, whatever number of flags they came from; a group named
explicitly is ours whatever its tags. Asking for them is `groups`' business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from autoscaler.aws.fields import Document
from autoscaler.aws.known import Bounds
from autoscaler.aws.shapes import tags_of
from autoscaler.config import Config
from autoscaler.core.model import GroupName


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """`tags`: every one must be there, with that value unless it is None. `bounds`: groups by name."""

    tags: Mapping[str, str | None] = field(default_factory=dict)
    bounds: Mapping[GroupName, Bounds] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Config) -> Selection:
        """What the flags select."""
        bounds = {GroupName(spec.name): Bounds(spec.min, spec.max) for spec in config.nodes}
        return cls(tags=config.node_group_auto_discovery, bounds=bounds)

    @property
    def is_empty(self) -> bool:
        return not (self.tags or self.bounds)

    def admits(self, document: Document) -> bool:
        """Tell whether a group is ours; an empty selection admits all. Raises FieldError."""
        if self.is_empty or document.get("AutoScalingGroupName") in self.bounds:
            return True
        tags = tags_of(document)
        return bool(self.tags) and all(
            key in tags and (value is None or tags[key] == value) for key, value in self.tags.items()
        )

    @property
    def filters(self) -> list[dict[str, object]]:
        """The `Filters` of DescribeAutoScalingGroups that select by tags."""
        return [
            {"Name": "tag-key", "Values": [key]} if value is None else {"Name": f"tag:{key}", "Values": [value]}
            for key, value in sorted(self.tags.items())
        ]
