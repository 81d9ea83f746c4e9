"""The CV of somebody who does not exist, and how a theme arranges it.

A theme changes no fact. It decides what comes first and what is marked: skills, the points of each job, projects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

NAME: Final = "Maia Civy"


@dataclass(frozen=True, slots=True)
class Theme:
    """One way to read the CV."""

    key: str
    label: str
    title: str
    summary: str


@dataclass(frozen=True, slots=True)
class Point:
    """One line of a job, or one skill, and the themes that it speaks for."""

    text: str
    themes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Job:
    """A position; `points` in order of importance."""

    title: str
    employer: str
    place: str
    years: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Project:
    """Something made outside of work; `story` is what its own page tells, paragraph by paragraph."""

    name: str
    text: str
    themes: frozenset[str]
    story: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SkillGroup:
    """Skills of one kind."""

    name: str
    skills: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """The CV as one theme shows it."""

    theme: Theme
    groups: tuple[SkillGroup, ...]
    jobs: tuple[Job, ...]
    projects: tuple[Project, ...]

    def marks(self, themes: frozenset[str]) -> bool:
        """Whether something with these themes is highlighted here."""
        return self.theme.key in themes


def arranged(key: str) -> Page:
    """The CV as the theme `key` shows it: what speaks for the theme first, jobs always latest first.

    Raises:
        KeyError: when there is no such theme.
    """
    theme = THEMES[key]
    groups = [SkillGroup(group.name, _first(group.skills, key)) for group in SKILLS]
    groups.sort(key=lambda group: -sum(key in skill.themes for skill in group.skills) / len(group.skills))
    jobs = [Job(job.title, job.employer, job.place, job.years, _first(job.points, key)) for job in JOBS]
    projects = sorted(PROJECTS, key=lambda project: key not in project.themes)
    return Page(theme, tuple(groups), tuple(jobs), tuple(projects))


def _first(points: Sequence[Point], key: str) -> tuple[Point, ...]:
    return tuple(sorted(points, key=lambda point: key not in point.themes))


def _point(text: str, themes: str) -> Point:
    return Point(text, frozenset(themes.split()))


DEFAULT: Final = "fullstack"

THEMES: Final = {
    theme.key: theme
    for theme in (
        Theme(
            "fullstack",
            "Full stack",
            "Full-stack engineer",
            "I like to own a feature from the first sketch to the first support call about it: the table, the query, "
            "the route, the page and the graph that tells me on Monday whether anybody used it.",
        ),
        Theme(
            "backend",
            "Backend",
            "Backend engineer",
            "I build services that say yes only when they mean it: durable before they answer, idempotent when they "
            "are asked twice, and boring to operate. Python by day, SQL by conviction.",
        ),
        Theme(
            "frontend",
            "Frontend",
            "Frontend engineer",
            "I make pages that are quick on an old phone, that work with a keyboard, and that still say something "
            "useful when half of the scripts did not load. HTML first, the rest when it earns its bytes.",
        ),
        Theme(
            "devops",
            "DevOps",
            "Platform engineer",
            "I turn deployments into non-events. Small images, honest health checks, dashboards that answer a "
            "question, and alerts that only ring when a human can do something about it.",
        ),
        Theme(
            "data",
            "Data",
            "Data engineer",
            "I care about where a number comes from. Pipelines that can be run again, definitions written down once, "
            "and error bars on anything that ends up on a slide.",
        ),
    )
}

SKILLS: Final = (
    SkillGroup(
        "Languages",
        (
            _point("Python", "backend fullstack data devops"),
            _point("SQL", "backend data fullstack"),
            _point("TypeScript", "frontend fullstack"),
            _point("HTML & CSS", "frontend fullstack"),
            _point("Shell", "devops"),
            _point("Go, enough to read it", "devops backend"),
        ),
    ),
    SkillGroup(
        "Services",
        (
            _point("Flask", "backend fullstack"),
            _point("PostgreSQL", "backend data fullstack"),
            _point("Redis & Valkey", "backend devops"),
            _point("Celery", "backend"),
            _point("Queues and idempotency", "backend data"),
            _point("API design", "backend frontend fullstack"),
        ),
    ),
    SkillGroup(
        "Interfaces",
        (
            _point("Accessibility", "frontend fullstack"),
            _point("Jinja & htmx", "frontend fullstack"),
            _point("Svelte", "frontend"),
            _point("Performance budgets", "frontend devops"),
            _point("Print stylesheets", "frontend"),
        ),
    ),
    SkillGroup(
        "Operations",
        (
            _point("Linux", "devops backend"),
            _point("Containers", "devops fullstack"),
            _point("Prometheus & Grafana", "devops data"),
            _point("Ansible", "devops"),
            _point("Restores, rehearsed", "devops backend"),
        ),
    ),
    SkillGroup(
        "Numbers",
        (
            _point("Data modelling", "data backend"),
            _point("dbt", "data"),
            _point("Statistics", "data"),
            _point("Charts people can read", "data frontend"),
            _point("Privacy by design", "data backend fullstack"),
        ),
    ),
)

JOBS: Final = (
    Job(
        "Senior engineer",
        "Harbour & Pine",
        "Norrvik",
        "2021 \u2013 today",
        (
            _point(
                "Rebuilt parcel tracking as an append-only event log; 40 million scans a month, none lost since.",
                "backend data fullstack",
            ),
            _point(
                "Replaced the customer portal page by page, without a big rewrite and without a feature freeze.",
                "frontend fullstack",
            ),
            _point(
                "Cut the time from merge to production from two days to eleven minutes, rollback included.",
                "devops fullstack",
            ),
            _point("Moved reports from nightly exports to streams that can be replayed from any day.", "data backend"),
            _point("Wrote the on-call handbook; pages at night went from nine a month to one.", "devops backend"),
            _point("Brought the portal to WCAG 2.2 AA, tested with people who need it.", "frontend"),
        ),
    ),
    Job(
        "Software engineer",
        "Lumen Letterpress",
        "Aldersund",
        "2018 \u2013 2021",
        (
            _point("Made a print shop's order form a web shop that takes 60 % of its sales.", "frontend fullstack"),
            _point("Payment and invoicing service with exactly one invoice per order, proven by tests.", "backend"),
            _point(
                "Live preview of type and paper in the browser, at 60 frames on the office's oldest tablet.", "frontend"
            ),
            _point("First monitoring, first backups, first restore drill.", "devops"),
            _point("Forecast of paper stock that halved both waste and panic.", "data"),
        ),
    ),
    Job(
        "Junior developer",
        "City library of Norrvik",
        "Norrvik",
        "2015 \u2013 2018",
        (
            _point("Search over 300,000 records with typo tolerance, on hardware from a cupboard.", "backend data"),
            _point("Reading statistics that never knew who was reading.", "data backend fullstack"),
            _point(
                "A catalogue page that also works without JavaScript, and is read aloud well.", "frontend fullstack"
            ),
            _point("Automated the update of forty public terminals.", "devops"),
        ),
    ),
)

PROJECTS: Final = (
    Project(
        "tidetable",
        "Harbour tides as a calendar feed and as 3 KB of JSON. One cron job, no database, up for six years.",
        frozenset({"backend", "devops", "fullstack"}),
        (
            (
                "The harbour office published its tides as a scanned table. My father missed the same one twice, so "
                "now a script reads the table, checks it against the moon, and writes a calendar."
            ),
            (
                "It has outlived two hosting companies and one harbour office website. The only incident so far was a "
                "leap second, and nobody was at sea."
            ),
        ),
    ),
    Project(
        "paperclip.css",
        "A stylesheet for documents that end up on paper: page breaks, footnotes, and links you can read.",
        frozenset({"frontend", "fullstack"}),
        (
            (
                "People print the web more often than the web thinks: recipes, tickets, this CV. Paperclip makes them "
                "come out on one page fewer, with the addresses of links written behind them."
            ),
            (
                "It has no build step and no opinions about screens. Two public libraries use it, which is two more "
                "than I had hoped for."
            ),
        ),
    ),
    Project(
        "honest-axis",
        "A chart linter: complains about cut axes, dual scales and averages of averages.",
        frozenset({"data", "frontend"}),
        (
            (
                "A chart can be true and still leave everybody with the wrong idea. Honest-axis reads a chart's "
                "description and says which of eleven old tricks it plays, politely, with a link to a better way."
            ),
            "It began as a joke in a code review. Somebody fixed the chart, so I kept going.",
        ),
    ),
)

PROJECT_BY_NAME: Final = {project.name: project for project in PROJECTS}
