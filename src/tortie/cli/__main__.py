"""`python -m tortie.cli` is the tortie command."""

from tortie.cli.main import main

main()
