"""`python -m maicivy` is `maicivy`."""

import sys

from maicivy.cli import main

sys.exit(main())
