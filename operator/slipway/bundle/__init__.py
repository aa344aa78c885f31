"""The program ``slipway-bundle``: one file with a whole release, for clusters without internet.

The file is a zip archive that Python runs: this package, and under ``release/`` an OCI layout of
the images and the chart, and the files that people download. It needs Python alone. Start with
`main`.
"""
