"""``python -m nndl.cli`` is ``nndl``."""

import sys

from nndl.cli import main

sys.exit(main())
