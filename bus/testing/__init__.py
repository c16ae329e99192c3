"""What tests stand on: the ports' suites, awkward inputs, a synthetic municipality, engines.

Importable by whoever writes a connector; used by the demo and the bench, and by nothing that
runs in production.
"""
