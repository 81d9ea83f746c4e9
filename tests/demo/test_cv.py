"""A theme changes the order and the marks of the CV, and no fact."""

from __future__ import annotations

import pytest

from maicivy.demo import cv


@pytest.mark.parametrize("key", cv.THEMES)
def test_every_theme_shows_the_same_facts_with_its_own_first(key: str) -> None:
    page = cv.arranged(key)
    assert [job.employer for job in page.jobs] == [job.employer for job in cv.JOBS]
    for shown, whole in zip(page.jobs, cv.JOBS, strict=True):
        assert set(shown.points) == set(whole.points)
        marks = [page.marks(point.themes) for point in shown.points]
        assert marks == sorted(marks, reverse=True)
        assert marks[0], f"{shown.employer} says nothing to {key}"
    assert {skill for group in page.groups for skill in group.skills} == {s for g in cv.SKILLS for s in g.skills}
    assert set(page.projects) == set(cv.PROJECTS)
    assert page.marks(page.projects[0].themes)


def test_themes_differ() -> None:
    assert len({cv.arranged(key).groups[0].skills for key in cv.THEMES}) > 2
    assert len({cv.arranged(key).theme.summary for key in cv.THEMES}) == len(cv.THEMES)


def test_an_unknown_theme_is_unknown() -> None:
    with pytest.raises(KeyError):
        cv.arranged("sales")


def test_every_theme_that_is_named_exists() -> None:
    named = {theme for group in cv.SKILLS for skill in group.skills for theme in skill.themes}
    named |= {theme for job in cv.JOBS for point in job.points for theme in point.themes}
    named |= {theme for project in cv.PROJECTS for theme in project.themes}
    assert named == set(cv.THEMES)
