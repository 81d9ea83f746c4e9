"""What gunicorn serves: maicivy, and with MAICIVY_DEMO=1 a small site that it watches (`maicivy/demo`)."""

import atexit

from maicivy import logs
from maicivy.bootstrap import build
from maicivy.config import Settings
from maicivy.demo.mount import mount
from maicivy.storage import durability
from maicivy.storage.inspection import RedisInspection
from maicivy.web import create_app

settings = Settings.from_env()
logs.configure(settings.log_level)
parts = build(settings)
durability.tell_soon(RedisInspection(parts.redis))
atexit.register(parts.close)
application = mount(create_app(parts), settings)
