"""Screens: pure functions of a ModelDeployment, the time and the width."""
