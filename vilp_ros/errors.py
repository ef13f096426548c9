"""The one exception that the command line turns into a sentence instead of a traceback."""


class VilpError(Exception):
    """An error that the user can mend.

    The message is one sentence: what was expected, what was found, what to do. `vilp` prints it
    and exits with 2; anything else that escapes a verb is a defect and keeps its traceback.
    """
