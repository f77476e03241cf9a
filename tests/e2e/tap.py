#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the unittest cases of a file and tells of them as TAP. Usage: tap.py FILE.py [CASE[.test]]..."""
import concurrent.futures
import importlib.util
import pathlib
import sys
import threading
import time
import traceback
import unittest


class Tap(unittest.TestResult):
    """What became of one test: its line, and below it what a failed one knows, while its hosts still live."""

    def __init__(self):
        super().__init__()
        self.verdict = None
        self.comments = []
        self.began = time.monotonic()

    def judge(self, good, directive=""):
        if (
            self.verdict is None
        ):  # not for a failed test whose cleanup fails too, or with several failed sub-tests
            self.verdict = good, directive

    def bad(self, test, error, directive=""):
        self.judge(False, directive)
        self.comments += "".join(traceback.format_exception(*error)).splitlines()
        told = getattr(test, "diagnostics", None)
        if told is not None:
            self.comments += told().splitlines()

    def addSuccess(self, test):
        super().addSuccess(test)
        self.judge(True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.bad(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self.bad(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.bad(test, err)
            self.comments.append(f"in {subtest}")

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.judge(False, " # TODO known not to work yet")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.judge(False)
        self.comments.append("it works now: take the mark away")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.judge(True, f" # SKIP {reason}")

    def tell(self, number, test):
        good, directive = self.verdict or (False, "")
        lines = [
            f"{'ok' if good else 'not ok'} {number} - {test.id().split('.', 1)[-1]}{directive}",
            f"# {time.monotonic() - self.began:.1f} s",
            *(f"# {line}" for line in self.comments),
        ]
        print("\n".join(lines), flush=True)
        return good or "TODO" in directive


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def load(path):
    """The file as a module; what lies beside it can be imported."""
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def main():
    path = pathlib.Path(sys.argv[1]).resolve()
    module = load(path)
    loader = unittest.defaultTestLoader
    suite = (
        loader.loadTestsFromNames(sys.argv[2:], module)
        if sys.argv[2:]
        else loader.loadTestsFromModule(module)
    )
    tests = list(flatten(suite))
    print(f"1..{len(tests)}", flush=True)
    told = threading.Lock()
    passed = []

    def run(test):
        result = Tap()
        test.run(result)
        with told:
            passed.append(result.tell(len(passed) + 1, test))

    # A test of hosts mostly waits; a file says how many of its tests get on with each other.
    with concurrent.futures.ThreadPoolExecutor(getattr(module, "TESTS_AT_ONCE", 1)) as pool:
        list(pool.map(run, tests))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
