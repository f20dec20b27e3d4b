"""Refusals: what the shell says when it cannot do what was asked."""

__all__ = ["Refusal"]


class Refusal(Exception):  # noqa: N818
    """One sentence for the person at the shell: what is wrong, where, and what to do.

    The command ends with exit code 2, without a traceback.
    """
