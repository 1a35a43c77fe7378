"""Writes vectors of what offline players open.

    python -m tests.vectors.make_offline > tests/vectors/offline-1.json

The file is append-only and was made once: what was once sealed, wrapped or licensed must open for
ever. Keys for agreeing and nonces are random, so that a second run gives others.
"""

import json
import sys

from protection.content_keys import KeyWrapper
from protection.encoding import encode_bytes
from protection.keyring import KeyRing
from protection.licences import LicenceSigner
from protection.possession import Purpose, build_statement, sign_statement
from protection.sealing import Sealer
from tests.offline import KEY, LICENSED, PLACE, RING, TERMS, make_private_key, public_of

DATA = b"What is sealed. " * 3


def main() -> None:
    """Print the vectors."""
    signing, agreeing = make_private_key(11), make_private_key(12)
    ring = KeyRing(first_kid="k1", keys={"k1": bytes(range(32, 64))})
    wrapped = KeyWrapper(ring).wrap(KEY)
    said = b'{"name":"a phone"}'
    statement = build_statement(Purpose.REGISTER, TERMS.account, "c2Vjb25kcw", said)
    signer = LicenceSigner(RING)
    vectors = {
        "sealed": {
            "key": encode_bytes(KEY.secret),
            "nonce": PLACE.nonce.hex(),
            "associated": PLACE.associated.decode(),
            "data": DATA.decode(),
            "sealed": Sealer(KEY).seal(PLACE, DATA).hex(),
        },
        "wrapped": {
            "kek": encode_bytes(ring.keys["k1"]),
            "wrapped": wrapped.wrapped.hex(),
        },
        "proof": {
            "public_key": public_of(signing).text,
            "thumbprint": public_of(signing).thumbprint,
            "statement": statement.decode(),
            "signature": sign_statement(signing, statement),
        },
        "licence": {
            "pinned": signer.public_keys(),
            "agreement_private_key": 12,
            "licence": signer.sign(TERMS, public_of(agreeing), [LICENSED]),
        },
    }
    json.dump(vectors, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
