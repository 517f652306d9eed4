"""A real OIDC server (Canaille) on loopback, told by lines on its input what to change.

Started as `python canaille_server.py PORT REDIRECT`; prints `ready`, and `done` after each line:
`rotate` takes its signing key away for a new one.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server


def key() -> dict[str, Any]:
    return RSAKey.generate_key(2048, {"use": "sig"}, auto_kid=True).as_dict(private=True)


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(port: int, redirect: str) -> None:
    app = create_app(
        {
            "SECRET_KEY": "of this test alone, which is as long as it must be",
            "SERVER_NAME": f"127.0.0.1:{port}",
            "PREFERRED_URL_SCHEME": "http",
            "CANAILLE": {"DATABASE": "sql", "JAVASCRIPT": False},
            "CANAILLE_SQL": {
                "DATABASE_URI": "sqlite:///canaille.db",
                # It hashes slowly on purpose, which is not what is tested here.
                "PASSWORD_SCHEMES": "pbkdf2_sha512",
            },
            "CANAILLE_OIDC": {"ACTIVE_JWKS": [key()]},
        }
    )
    with app.app_context():
        backend = Backend.instance
        for name in ("lin", "mallory"):
            backend.save(
                models.User(
                    user_name=name,
                    formatted_name=name,
                    family_name=name,
                    emails=["shared@example.org"] if name == "lin" else ["other@example.org"],
                    password=f"the password of {name}",
                )
            )
        client = models.Client(
            client_id="clearhold",
            client_secret="the client's own secret",
            client_name="Clearhold",
            client_uri="http://127.0.0.1",
            redirect_uris=[redirect],
            grant_types=["authorization_code"],
            response_types=["code"],
            scope=["openid"],
            token_endpoint_auth_method="client_secret_basic",
            contacts=[],
            # Salted, so that two tokens of one second differ, as this server's table of them wants.
            id_token_signed_response_alg="PS256",
        )
        backend.save(client)
        client.audience = [client]
        backend.save(client)
    server = make_server("127.0.0.1", port, app)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    tell("ready")
    for line in sys.stdin:
        if line.strip() == "rotate":
            app.config["CANAILLE_OIDC"]["ACTIVE_JWKS"] = [key()]
        tell("done")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
