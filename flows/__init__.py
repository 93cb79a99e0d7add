"""Prefect flows, orders, planning and the command line: what composes all other packages."""
