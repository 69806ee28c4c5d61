"""`python -m roadworthy.cli` is `roadworthy`."""

from __future__ import annotations

from roadworthy.cli.main import main

raise SystemExit(main())
