"""The measurement behind bench/run: machine, proxies, scenarios, report."""
