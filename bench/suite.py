"""All scenes, in the order in which they run and stand in the table."""

from __future__ import annotations

from bench.figures import Scene
from bench.rows import collecting, drawing, enduring, hosting, keeping, querying, reading, visiting, watching

SCENES: tuple[Scene, ...] = (
    collecting.SCENE,
    visiting.SCENE,
    enduring.SCENE,
    reading.SCENE,
    watching.SCENE,
    hosting.SCENE,
    querying.SCENE,
    drawing.SCENE,
    *keeping.SCENES,
)
TITLES: dict[str, str] = {row: title for scene in SCENES for row, title in scene.rows.items()}
