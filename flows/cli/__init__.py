"""The `tutti` command line."""


def main() -> None:
    """Run the command line; arguments that are no text are refused, whatever the command."""
    from flows.cli.app import app
    from flows.cli.arguments import check_arguments

    check_arguments()
    app()
