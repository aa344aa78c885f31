"""Tells what was decided and done: to the log, and to the receivers that there are."""

import logging
from datetime import datetime

from slipway.api.modeldeployment import ModelDeployment
from slipway.policy.audit import describe_audit, recall_audit
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts
from slipway.reconcile.ports import AuditReceiver

log = logging.getLogger("slipway.audit")


class AuditTrail:
    """Tells of what was written, and never holds up a pass."""

    def __init__(self, receiver: AuditReceiver) -> None:
        self._receiver = receiver

    def tell(self, decision: Decision, facts: Facts, now: datetime) -> None:
        """Tell of a decision whose status has just been written."""
        lines = tuple(describe_audit(decision, facts, now))
        for line in lines:
            log.info("%s", line.message, extra=dict(line.fields))
        self._receiver.offer(lines)

    def recall(self, md: ModelDeployment, now: datetime) -> None:
        """Offer what the status remembers: whoever wrote it may have been killed before it told."""
        if self._receiver.is_on:
            self._receiver.offer(recall_audit(md, now))
