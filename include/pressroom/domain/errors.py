"""Every error that Pressroom raises on purpose. The class decides what happens next, never the message.

::

    PressroomError
    ├── TransientError            retried with back-off; ``retry_after`` seconds are honoured
    │   ├── ServiceDown           a service is not reachable, or says that it fails
    │   └── UnknownOutcome        a call may or may not have had its effect: look before sending again
    └── PermanentError            retrying cannot help
        ├── ConfigurationError    credentials, connections, models: fails the whole batch and the task
        │   ├── DefinitionError   a definition or an input file; names file, line, key
        │   ├── NotSent           a call was left out, because another found the set-up wrong
        │   ├── InvalidMission    a mission cannot run as it is defined; names the field
        │   └── OutOfMoney        a provider takes no call before it is paid
        │       └── UnpaidNotSent a call was left out, because another found that there is no money
        ├── TooMuch               what others wrote takes more time or memory than it may
        ├── QuotaExceeded         the account would have more than it may have
        ├── NoBatchEndpoint       a provider has no batches: its ordinary endpoint is asked
        ├── RequestRefused        a service refuses this item's request, or every item's: the batch finds out
        ├── ApprovalVoid          what would be sent is not what was approved: it waits for review again
        ├── AlreadyDone           another worker finished the item: nothing is wrong
        ├── RunConflict           another run of the workflow is live, or took this one over
        │   └── WorkflowOver      the workflow takes no runs: a draft, paused, or completed
        ├── RunFailed             the run has ended so that its DAG run is to be red
        ├── PastDate              the planned time of a publication is over
        ├── TimeTaken             another publication has the same time and target
        ├── BudgetError           no paid call may start: the run ends partial
        │   ├── InsufficientCredits
        │   └── CapReached
        │       └── CapHeld       calls in flight hold the rest: it may be free in a moment
        └── AnswerError           this item's answer is unusable; its neighbours go on
            ├── RefusedAnswer     the model declined
            ├── FilteredAnswer    the provider's content filter cut it
            ├── TruncatedAnswer   it hit the token limit
            ├── EmptyAnswer       nothing came back
            └── InvalidAnswer     not of the asked type, even after the repair round
"""

from __future__ import annotations

from decimal import Decimal

from pressroom.domain.model import Usage


class PressroomError(Exception):
    """Base of the tree above.

    ``usage``: what a model is known to have used before the error, and so what its provider charges for;
    ``cents``: what a provider charges all the same.
    """

    usage: Usage | None = None
    cents: Decimal | None = None


class TransientError(PressroomError):
    """Something outside failed, and may work later.

    ``retry_after``: the seconds that the other side asked us to wait, or None.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ServiceDown(TransientError):
    """The service is not reachable, or says itself that it fails: no request is the reason."""


class UnknownOutcome(TransientError):
    """The other side may or may not have done what was asked: a retry must look first."""


class PermanentError(PressroomError):
    """Trying again with the same input gives the same failure."""


class ConfigurationError(PermanentError):
    """The set-up is wrong, so every item would fail in the same way."""


class QuotaExceeded(PermanentError):
    """The account would have more than it may have: only an operator can raise that."""


class OutOfMoney(ConfigurationError):
    """The provider takes no call before somebody pays it."""


class NotSent(ConfigurationError):
    """The call was not made, because another one found the set-up wrong."""


class UnpaidNotSent(NotSent, OutOfMoney):
    """Nothing was sent, because an earlier call found that the provider has to be paid first."""


class TooMuch(PermanentError):
    """What others wrote takes more time or memory than it may. The message calls it "it"."""


class NoBatchEndpoint(PermanentError):
    """The provider takes no batches."""


class RequestRefused(PermanentError):
    """A service refuses the request for a reason that only this item may have, or every one.

    A batch finds out: when the first items are all refused in the same words, the set-up is wrong.
    """


class DefinitionError(ConfigurationError):
    """A definition or input file is wrong. ``problems``: one line each, with its place."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class RunConflict(PermanentError):
    """Another run holds the workflow's lock, or took it from this run."""


class InvalidMission(ConfigurationError):
    """The mission cannot run as it is defined. The message starts with the field."""


class WorkflowOver(RunConflict):
    """The workflow takes no runs: it is a draft, paused or completed."""


class RunFailed(PermanentError):
    """The run has ended in a way that Airflow has to show as failed. The message is the run's reason."""


class PastDate(PermanentError):
    """The planned time of a publication is over."""


class TimeTaken(PermanentError):
    """Another publication of the workflow has the same time and target."""


class ApprovalVoid(PermanentError):
    """What would be sent is not what somebody approved. Nothing is sent, and it waits for review again."""


class AlreadyDone(PermanentError):
    """The item no longer waits: another worker finished it, for example after a lost heartbeat."""


class BudgetError(PermanentError):
    """Money or credits forbid another call."""


class InsufficientCredits(BudgetError):
    """The account's available credits do not cover the request."""


class CapReached(BudgetError):
    """A cap in cents (run, site, month or account) is used up."""


class CapHeld(CapReached):
    """Only what calls in flight may cost stands in the way: their true cost may leave enough."""


class AnswerError(PermanentError):
    """One model answer cannot be used."""


class RefusedAnswer(AnswerError):
    """The model declined to answer."""


class FilteredAnswer(AnswerError):
    """The provider's content filter stopped the answer."""


class TruncatedAnswer(AnswerError):
    """The answer reached the token limit before it was complete."""


class EmptyAnswer(AnswerError):
    """The model returned no text."""


class InvalidAnswer(AnswerError):
    """The answer is not of the asked type."""


def words_of(error: Exception) -> str:
    """What people may read of an error: only the class of one that was not raised on purpose."""
    return str(error) if isinstance(error, PressroomError) else f"unexpected {type(error).__name__}"
