"""The Celery side: an application, the bodies of its tasks, and their schedule."""
