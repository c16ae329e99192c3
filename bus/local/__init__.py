"""The one-machine stack: the real Kafka, PostgreSQL and Apicurio Registry without Docker.

``fetch`` brings the pinned files, ``supervisor`` is the process that runs the engines, ``stack``
is what everybody else uses: start, stop, look.
"""
