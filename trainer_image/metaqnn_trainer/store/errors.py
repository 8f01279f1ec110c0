"""The store's error tree. Which exit code each gets is said by the side that ends with it: metaqnn_orch.errors and
metaqnn_trainer.errors.

StoreError          the object store did not do what was asked
└── ObjectMissing   no object under this key
AddressError        what should name a store does not: bad input, an error of the contract
"""

from __future__ import annotations

from enum import StrEnum

from metaqnn_trainer.contract.errors import ContractError


class Cause(StrEnum):
    """Whose turn it is."""

    OUTAGE = "outage"
    """No answer, or one that says: not now. The same call may well succeed a little later."""
    FULL = "full"
    """There is no room. Somebody has to make some, and may be doing so."""
    REFUSED = "refused"
    """The answer would be the same tomorrow."""


class StoreError(Exception):
    """The object store did not do what was asked. `str()` is one line with the store, the key and the cause; `hint` is
    what to do, if anything is known. Whether a failed write happened is not known.

    `status` is the HTTP status, 0 where there is none; `code` is the store's own word, as NoSuchBucket.
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
        """The same call may well succeed a little later, without anybody doing anything."""
        return self.cause is Cause.OUTAGE

    @property
    def denied(self) -> bool:
        """HTTP 403: these credentials may not do that. S3 says the same of a missing object to whoever may not list the
        bucket, and a trainer needs no right to list."""
        return self.status == 403


class ObjectMissing(StoreError):
    """No object under this key."""


class AddressError(ContractError):
    """What was given to open a store is none of the accepted forms."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
