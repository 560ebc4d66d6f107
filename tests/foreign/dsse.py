"""Verifies the DSSE envelopes of an export with securesystemslib instead of our own code.

    python dsse.py DIR

Prints as JSON how many hold and which do not, by log.
"""

import base64
import hashlib
import json
import pathlib
import sys

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

PAYLOAD_TYPE = "application/vnd.liaison.header.v1+protobuf"


def message_keys(manifest, name):
    for key in manifest["keys"]:
        key_name, _, data = key["vkey"].split("+", 2)
        raw = base64.b64decode(data, validate=True)
        if key["role"] == "message" and key_name == name:
            assert raw[0] == 0x01 and len(raw) == 33, "a message key is Ed25519"
            keyid = hashlib.sha256(raw[1:]).hexdigest()
            yield SSlibKey(keyid, "ed25519", "ed25519", {"public": raw[1:].hex()})


def main(export):
    manifest = json.loads((export / "MANIFEST.json").read_text())
    report = {}
    for log in manifest["logs"]:
        keys = list(message_keys(manifest, log["origin"].split("/")[0]))
        verified, failed = 0, []
        for index in range(log["size"]):
            path = export / log["folder"] / "dsse" / f"{index}.json"
            try:
                envelope = Envelope.from_dict(json.loads(path.read_text()))
                envelope.verify(keys, 1)
                assert envelope.payload_type == PAYLOAD_TYPE
                verified += 1
            except (VerificationError, FileNotFoundError, ValueError, KeyError):
                failed.append(index)
        report[log["origin"]] = {"verified": verified, "failed": failed}
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
