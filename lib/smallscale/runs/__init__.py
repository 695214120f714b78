"""What runs notebooks: parameters read and checked, warm kernels, sweeps, the gallery, the command."""


class Refused(Exception):
    """The command was asked for something it cannot do: one plain line, exit code 2, nothing started."""
