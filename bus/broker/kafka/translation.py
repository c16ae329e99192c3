"""Turn aiokafka's errors into the bus's: each by name, the cause kept.

An error that is not named here is a defect and surfaces as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka import errors as kafka

from bus.errors import BrokerUnavailable, ConfigurationError, EventTooLarge, PositionForeign

REFUSALS = (
    kafka.AuthenticationFailedError,
    kafka.AuthenticationMethodNotSupported,
    kafka.ClusterAuthorizationFailedError,
    kafka.GroupAuthorizationFailedError,
    kafka.IllegalSaslStateError,
    kafka.IncompatibleBrokerVersion,
    kafka.InvalidConfigurationError,
    kafka.InvalidGroupIdError,
    kafka.InvalidPartitionsError,
    kafka.InvalidReplicationFactorError,
    kafka.InvalidRequestError,
    kafka.InvalidTopicError,
    kafka.PolicyViolationError,
    kafka.SaslAuthenticationFailed,
    kafka.SecurityDisabled,
    kafka.TopicAuthorizationFailedError,
    kafka.UnrecognizedBrokerVersion,
    kafka.UnsupportedSaslMechanismError,
    kafka.UnsupportedVersionError,
)
SILENCES = (
    kafka.BrokerNotAvailableError,
    kafka.Cancelled,
    kafka.CorrelationIdError,
    kafka.CorruptRecordException,
    kafka.GroupCoordinatorNotAvailableError,
    kafka.GroupLoadInProgressError,
    kafka.InvalidProducerEpoch,
    kafka.InvalidProducerIdMapping,
    kafka.KafkaConnectionError,
    kafka.KafkaStorageError,
    kafka.KafkaTimeoutError,
    kafka.KafkaUnavailableError,
    kafka.LeaderNotAvailableError,
    kafka.MetadataEmptyBrokerList,
    kafka.NoBrokersAvailable,
    kafka.NodeNotReadyError,
    kafka.NotControllerError,
    kafka.NotCoordinatorForGroupError,
    kafka.NotEnoughReplicasAfterAppendError,
    kafka.NotEnoughReplicasError,
    kafka.NotLeaderForPartitionError,
    kafka.OutOfOrderSequenceNumber,
    kafka.ProducerClosed,
    kafka.ProducerFenced,
    kafka.RebalanceInProgressError,
    kafka.ReplicaNotAvailableError,
    kafka.RequestTimedOutError,
    kafka.StaleMetadata,
    kafka.TooManyInFlightRequests,
    kafka.UnknownProducerId,
    kafka.ConsumerStoppedError,
    TimeoutError,
    OSError,
)
MEMBERSHIP_LOST = (
    kafka.CommitFailedError,
    kafka.IllegalGenerationError,
    kafka.IllegalStateError,
    kafka.RebalanceInProgressError,
    kafka.UnknownMemberIdError,
)


@contextmanager
def translated(**where: object) -> Iterator[None]:
    """Turn what aiokafka raises inside the block into the bus's errors with *where* in them."""
    try:
        yield
    except (kafka.MessageSizeTooLargeError, kafka.RecordListTooLargeError) as error:
        raise EventTooLarge("an event is above the broker's limit", **where) from error
    except kafka.UnknownTopicOrPartitionError as error:
        raise no_topic(where) from error
    except kafka.OffsetOutOfRangeError as error:
        raise _out_of_range(error) from error
    except kafka.UnsupportedCodecError as error:
        raise ConfigurationError(
            "the log is compressed in a way that needs the package cramjam", **where
        ) from error
    except kafka.InvalidSessionTimeoutError as error:
        raise ConfigurationError(
            "the brokers do not allow RENKEI_SESSION_TIMEOUT; their group.min.session.timeout.ms"
            " and group.max.session.timeout.ms say what they do",
            **where,
        ) from error
    except REFUSALS as error:
        raise ConfigurationError(
            "the broker refuses this", kafka=type(error).__name__, **where
        ) from error
    except SILENCES as error:
        raise BrokerUnavailable(
            "the broker does not answer", kafka=type(error).__name__, **where
        ) from error
    except kafka.KafkaError as error:
        if type(error) is not kafka.KafkaError:
            raise
        # The library's word for one of its own background tasks having ended unexpectedly.
        raise BrokerUnavailable("the Kafka client gave up; make a new one", **where) from error


def no_topic(where: dict[str, object]) -> ConfigurationError:
    """The error for a missing topic; topics are never made on the way."""
    return ConfigurationError(
        "the topic does not exist; make it with: renkei topics apply", **where
    )


def raise_for(code: int) -> None:
    """Raise the error that a response's code stands for; nothing for success."""
    error = kafka.for_code(code)
    if error is not kafka.NoError:
        raise error


def _out_of_range(error: kafka.OffsetOutOfRangeError) -> PositionForeign:
    offsets = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    for place, offset in offsets.items():
        return PositionForeign.at(place.topic, place.partition, offset)
    return PositionForeign("the log does not hold this position")
