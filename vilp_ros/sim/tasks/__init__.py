"""The tasks, a file each: its name is the task's name, its `TASK` all that others ask about it."""
