"""The shape of the code: names, paragraphs and floors, counted from the syntax tree.

``python -m tests.house`` prints the figures beside their targets, and ``--list KEY`` what stands
behind one of them; the tests in tests/unit/house hold the targets. Nothing here imports or runs
the code that it reads. Start reading in `tests.house.figures`.
"""
