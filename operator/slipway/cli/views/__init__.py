"""The screens: pure functions from objects and a time to lines of styled text.

No view reads a clock, calls kubectl or prints. Start reading at `description`, the largest screen;
`next_steps` says what happens next, `styles` what a colour means.
"""
