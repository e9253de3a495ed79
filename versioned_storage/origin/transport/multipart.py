"""Large files, a part at a time."""

from __future__ import annotations

import hashlib
import os
import threading
from base64 import b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from ...progress import logger

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: From how many bytes on a file is put in parts.
THRESHOLD = 64 << 20
#: The size of a part in bytes. S3 takes 10,000 parts of 5 MiB at least; the last may be smaller.
PART = 16 << 20
#: How many parts are in memory at once, of all files together.
AT_ONCE = 4

_MOST_PARTS = 10_000


class Parts:
    """Puts files in parts, by boto3's own calls: ``call(operation, parameters)`` makes one.

    ``count`` is told of each request but the first one for a file.
    """

    def __init__(
        self,
        client: S3Client,
        call: Callable[[str, Mapping[str, Any]], Mapping[str, Any]],
        count: Callable[[int], None],
    ) -> None:
        self._model = client.meta.service_model
        self._call = call
        self._count = count
        self._in_memory = threading.Semaphore(AT_ONCE)

    def put(self, given: Mapping[str, Any], file: IO[bytes], size: int) -> str:
        """Put an object and return its ETag; ``given`` are the parameters of ``put_object``.

        S3 checks the sha256 of each part. After a failure what had arrived is given up, so that
        nobody pays for parts of no object.
        """
        begun = self._ask("CreateMultipartUpload", given, ChecksumAlgorithm="SHA256")
        upload = begun["UploadId"]
        try:
            parts = self._all(given, upload, file, size)
            done = self._ask(
                "CompleteMultipartUpload", given, UploadId=upload, MultipartUpload={"Parts": parts}
            )
        except BaseException:
            self._give_up(given, upload)
            raise
        # Ceph's server leaves it empty. The conditions were for what was there before.
        etag: str = done.get("ETag") or self._ask("HeadObject", _without_conditions(given))["ETag"]
        return etag

    def _give_up(self, given: Mapping[str, Any], upload: str) -> None:
        try:
            self._ask("AbortMultipartUpload", given, UploadId=upload)
        except (BotoCoreError, ClientError) as error:
            # What went wrong before is what has to be told.
            logger.warning(
                "The parts of %s that were uploaded are still in the bucket (upload %s): %s",
                given["Key"],
                upload,
                error,
            )

    def _all(
        self, given: Mapping[str, Any], upload: str, file: IO[bytes], size: int
    ) -> list[dict[str, Any]]:
        step = max(PART, -(-size // _MOST_PARTS))

        def send(number: int, start: int) -> dict[str, Any]:
            with self._in_memory:
                body = os.pread(file.fileno(), step, start)
                checksum = b64encode(hashlib.sha256(body).digest()).decode()
                done = self._ask(
                    "UploadPart",
                    given,
                    UploadId=upload,
                    PartNumber=number,
                    Body=body,
                    ChecksumSHA256=checksum,
                )
            return {"PartNumber": number, "ETag": done["ETag"], "ChecksumSHA256": checksum}

        with ThreadPoolExecutor(AT_ONCE) as pool:
            sent = [
                pool.submit(send, number, start)
                for number, start in enumerate(range(0, size, step), 1)
            ]
            try:
                return [future.result() for future in sent]
            finally:
                for future in sent:
                    future.cancel()

    def _ask(self, operation: str, given: Mapping[str, Any], **more: Any) -> Mapping[str, Any]:
        # Of an object's parameters each of these operations takes some.
        shape = self._model.operation_model(operation).input_shape
        known = shape.members if shape is not None else {}
        taken = {name: value for name, value in given.items() if name in known}
        self._count(operation != "CreateMultipartUpload")
        return self._call(operation, {**taken, **more})


def _without_conditions(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in ("IfMatch", "IfNoneMatch")}
