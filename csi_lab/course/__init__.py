"""The course: lessons with checked exercises, the runner that executes notebooks, and the command line."""
