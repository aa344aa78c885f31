"""The zoo of silent faults: versions that raise no error, on real Triton, with default settings.

`make faults` serves stable beside 24 faulty versions and 24 good ones, one after the other. Each is
checked by the Job's own program, then answers users' requests beside stable, and is rolled out by
the operator's own state machine in virtual time. The page is docs/silent-faults.md.
"""
