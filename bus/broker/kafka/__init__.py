"""A Kafka cluster through aiokafka; no other package imports that library.

What the library does not do by itself, and this package does for it:

* **Callbacks.** aiokafka runs them inside its coordinator task, where no heartbeat is sent and an
  exception is only logged. Here ``on_assigned`` runs inside ``fetch``, with the heart beating and
  errors raised to the caller; new partitions stay paused until it is done. ``on_revoked`` has to
  run in the coordinator task, because the group waits for it: it may take up to
  ``REBALANCE_TIMEOUT``, and what it raises is raised by the next ``fetch``.
* **Offsets asked for.** A connection answers in order, and a fetch may wait on it for
  ``idle_wait``. End and beginning offsets therefore go over a connection of their own.
* **Giving up.** An idempotent aiokafka producer never gives a batch up, and after a refused one
  its sequence numbers fit no more. A producer that could not send is dropped whole, and the next
  ``send`` starts a new one. What it had under way may still have been appended.
* **Batches.** ``send`` hands over ready batches instead of a future for each record. There is no
  linger: what arrives while a batch is under way shares the next one.

Known limits, for whoever reads with it:

* Assignment is eager: every change of the group takes all partitions back and deals them anew.
* A fetch in flight to a node has to return, after ``idle_wait`` at the latest, before partitions
  sought or resumed meanwhile are fetched from that node. Pausing a partition throws away what
  was fetched of it in advance. So do not pause a lane that is merely busy.
* While the cluster is away, ``fetch`` finds nothing and raises nothing: the client reconnects.
* Records compressed with LZ4, Snappy or Zstandard need the package ``cramjam``.
"""

from bus.broker.kafka.cluster import KafkaBroker
from bus.broker.kafka.consumer import KafkaConsumer
from bus.broker.kafka.producer import KafkaProducer

__all__ = ["KafkaBroker", "KafkaConsumer", "KafkaProducer"]
