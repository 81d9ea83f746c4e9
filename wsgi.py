"""What gunicorn serves."""

from maicivy.bootstrap import build
from maicivy.config import Settings
from maicivy.web import create_app

application = create_app(build(Settings.from_env()))
