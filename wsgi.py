"""What gunicorn serves: maicivy, and with MAICIVY_DEMO=1 a small site that it watches (`maicivy/demo`)."""

from maicivy.bootstrap import build
from maicivy.config import Settings
from maicivy.demo.mount import mount
from maicivy.web import create_app

parts = build(Settings.from_env())
application = mount(create_app(parts), parts.settings)
