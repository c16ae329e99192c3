"""Watches receipts: throughput in one-minute windows, and changes that are not everywhere yet.

The one home of Faust (:mod:`bus.monitor.watch`, imported only by who runs the monitor: the
library is an option). What it says has one shape (:mod:`bus.monitor.report`), and windows can
also be read from the log itself, without it (:mod:`bus.monitor.recent`).
"""
