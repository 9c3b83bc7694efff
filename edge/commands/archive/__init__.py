"""Prediction over archives: inputs are cut into chunks, which processes or machines work on in any order."""
