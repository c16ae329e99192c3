"""The promises of the ports as test suites, for whoever writes an adapter; with awkward inputs.

Needs the extra ``conformance``, which brings pytest. Nothing of the product imports it.
"""
