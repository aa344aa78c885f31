"""The one error of the harness: what is wrong and what to do, in a sentence for the terminal."""


class ClusterError(Exception):
    """The command cannot do what it was asked; the message says why and how to go on."""
