"""The store's error tree. The exit codes are in the errors of the two programs: metaqnn_orch.errors and
metaqnn_trainer.errors.

StoreError          the object store did not do what was asked
└── ObjectMissing   no object under this key
AddressError        the address of a store is not valid: bad input, an error of the contract
"""

from __future__ import annotations

from enum import StrEnum

from metaqnn_trainer.contract.errors import ContractError

NO_CREDENTIALS = "NoCredentials"
"""The code of the error that there are no keys for the store on this machine: nothing was asked of the store."""
UNKNOWN_KEYS = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"})
"""The codes of the errors that the store does not know the keys, or not any more."""


class Cause(StrEnum):
    """The cause of an error: who can remove it."""

    OUTAGE = "outage"
    """No answer, or one that means: not now. The same call may succeed a little later."""
    FULL = "full"
    """The store is full. Somebody has to make room, and may be doing so."""
    REFUSED = "refused"
    """The store refuses. The answer would be the same tomorrow."""


class StoreError(Exception):
    """The object store did not do what was asked. `str()` is one line with the store, the key and the cause; `hint` is
    what to do, if that is known. It is unknown whether a failed write happened.

    `status` is the HTTP status, 0 where there is none; `code` is the store's own word, such as NoSuchBucket.
    """

    def __init__(
        self, message: str, hint: str = "", *, cause: Cause = Cause.REFUSED, status: int = 0, code: str = ""
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.cause = cause
        self.status = status
        self.code = code

    @property
    def transient(self) -> bool:
        """Whether the same call may succeed a little later, although nobody changes anything."""
        return self.cause is Cause.OUTAGE

    @property
    def denied(self) -> bool:
        """HTTP 403: these credentials lack the right. S3 gives the same answer for a missing object to a caller without
        the right to list the bucket, and a trainer needs no right to list.
        """
        return self.status == 403


class ObjectMissing(StoreError):
    """No object under this key."""


class AddressError(ContractError):
    """The address of a store has none of the accepted forms."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
