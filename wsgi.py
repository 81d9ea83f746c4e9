"""What gunicorn serves: maicivy, and with MAICIVY_DEMO=1 a small site that it watches (`maicivy/demo`)."""

import atexit

from maicivy.bootstrap import build
from maicivy.config import Settings
from maicivy.demo.mount import mount
from maicivy.web import create_app

parts = build(Settings.from_env())
atexit.register(parts.close)
application = mount(create_app(parts), parts.settings)
