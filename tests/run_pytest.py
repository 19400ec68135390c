"""The main program of every py_test: runs pytest on the test file that Bazel passes."""

import os
import sys

import pytest

if __name__ == "__main__":
    report = os.environ.get("XML_OUTPUT_FILE")  # Bazel's place for each test's own result and time.
    options = [f"--junitxml={report}"] if report else []
    # The root is the working directory, or pytest would stop below tests/ and never see its conftest.py.
    sys.exit(pytest.main(["--rootdir=.", "-p", "no:cacheprovider", *options, *sys.argv[1:]]))
