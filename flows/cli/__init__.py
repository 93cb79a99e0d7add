"""The `tutti` command line."""


def main() -> None:
    """Run the command line."""
    from flows.cli.app import app

    app()
