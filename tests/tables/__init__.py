"""What a distribution may hold beside a task and a family of designs: a source, a searcher and a preset, all made up.

tests/another_task.py makes a distribution of these modules and of tests/tasks/regression.py and widths.py.
"""
