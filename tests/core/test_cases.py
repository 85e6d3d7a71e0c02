"""Every story of tests/cases, told by the planner."""

from pathlib import Path

import pytest

from autoscaler.core.planner import plan
from tests.stories import Story, expected, read_stories, told

CASES = Path(__file__).parents[1] / "cases"
STORIES = [story for path in sorted(CASES.glob("*.yaml")) for story in read_stories(path)]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: f"{story.source}: {story.name}")
def test_the_story_ends_as_told(story: Story) -> None:
    assert told(plan(story.snapshot), story.then) == expected(story.then)


def test_names_are_unique() -> None:
    names = [story.name for story in STORIES]
    assert sorted(set(names)) == sorted(names)


def test_a_misspelt_word_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "typo.yaml"
    path.write_text("- {name: typo, groups: [{name: spot-a, maximum: 3}], then: {}}\n")
    with pytest.raises(ValueError, match="maximum"):
        read_stories(path)
