"""What went wrong with a transfer, in a sentence that says what to do, and whether it can pass."""

import errno
import os
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import urlsplit

import requests
import urllib3
from requests.utils import get_environ_proxies, select_proxy

from ...core.errors import first_line

LONGEST_WAIT = 30.0
"""Seconds; a server that asks for a longer pause is not waited for."""
PASSING = {408, 429, 500, 502, 503, 504}
"""Status codes after which the same request can succeed."""
CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Environment variables that name a file of trusted certificates; the first that is set holds."""
WITH_PROXY = "if the network has a proxy, HTTPS_PROXY must name it"
STATUS_NAMES = {int(status): status.phrase for status in HTTPStatus}


class TransferError(Exception):
    """A file cannot be downloaded; the message is the reason, without a full stop."""


class InterruptionError(TransferError):
    """What may pass if it is tried again, after `wait` seconds."""

    def __init__(self, reason: str, wait: float = 0.0):
        super().__init__(reason)
        self.wait = wait


def explain(error: Exception, url: str) -> TransferError:
    """Say why a request failed that got no answer, or lost the connection in the middle of it."""
    causes = list(_causes(error))
    text = "".join(letter if letter.isprintable() else "?" for letter in first_line(causes[-1]))  # may quote a server
    host, proxy = urlsplit(url).hostname, _proxy(url)

    def caused_by(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    if caused_by(requests.exceptions.ProxyError, urllib3.exceptions.ProxyError):
        return _explain_proxy(proxy, str(host), text)
    if caused_by(requests.exceptions.SSLError, urllib3.exceptions.SSLError):
        if "CERTIFICATE_VERIFY_FAILED" not in text:
            return TransferError(f"the encrypted connection to {host} failed ({text})")
        variable = next(filter(os.environ.get, CERTIFICATES), CERTIFICATES[-1])
        return TransferError(
            f"the TLS certificate of {host} is not trusted ({text.rpartition('failed: ')[2].partition(' (_ssl')[0]}); "
            f"if a proxy of the network signs connections itself, {variable} must name a file with its certificate"
        )
    if caused_by(urllib3.exceptions.NameResolutionError):
        return TransferError(
            f"the name {host} cannot be resolved: there is no network, or it has a proxy that HTTPS_PROXY must name"
        )
    if caused_by(urllib3.exceptions.NewConnectionError):
        codes = {errno.ECONNREFUSED: "it refuses the connection", errno.EACCES: "this computer forbids it"}
        code = next((cause.errno for cause in reversed(causes) if isinstance(cause, OSError) and cause.errno), None)
        reason = codes.get(code or 0, "there is no network or no route to it")
        return TransferError(f"{host} cannot be reached: {reason}; {WITH_PROXY}")
    if caused_by(urllib3.exceptions.ConnectTimeoutError):
        return TransferError(f"{host} cannot be reached: no answer; {WITH_PROXY}")
    if caused_by(requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
        return InterruptionError(f"{host} stopped sending")
    if caused_by(requests.exceptions.ContentDecodingError, urllib3.exceptions.DecodeError):
        return TransferError("its compressed transfer is damaged")
    if caused_by(requests.exceptions.ConnectionError, urllib3.exceptions.ProtocolError):
        return InterruptionError(f"the connection to {host} was interrupted ({text})")
    return TransferError(text.rstrip("."))


def explain_status(response: requests.Response) -> TransferError:
    """Say what a status other than success means."""
    code, proxy = response.status_code, _proxy(response.url)
    name = STATUS_NAMES.get(code, "an unknown status")
    host = urlsplit(response.url).hostname
    if code == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return _explain_proxy(proxy, str(host), f"{code} {name}")
    reason = f"{code} {name} from {host}"
    if proxy and urlsplit(response.url).scheme == "http":
        reason += f" or from the proxy {proxy}"
    if code in PASSING:
        asked = response.headers.get("Retry-After", "")
        wait = float(asked) if asked.isdecimal() and len(asked) < 10 else 0.0
        if wait <= LONGEST_WAIT:
            return InterruptionError(reason, wait)
        return TransferError(f"{reason}, which asks to wait for {wait:,.0f} s")
    if code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) and "/resolve/" in response.url:
        reason += " (there is no such repository, or it is private and HF_TOKEN must hold a token that may read it)"
    return TransferError(reason)


def _explain_proxy(proxy: str | None, host: str, text: str) -> TransferError:
    """Say what a proxy refuses; its address is shown without the password."""
    name = f"the proxy {proxy}" if proxy else "the proxy"
    if str(HTTPStatus.PROXY_AUTHENTICATION_REQUIRED.value) in text:
        return TransferError(f"{name} asks for a password (407): HTTPS_PROXY must be http://USER:PASSWORD@HOST:PORT")
    if str(HTTPStatus.FORBIDDEN.value) in text:
        return TransferError(f"{name} does not allow {host} (403)")
    return TransferError(
        f"{name} cannot be used ({text}); HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY decide on it"
    )


def _proxy(url: str) -> str | None:
    """Return the address of the proxy that the environment names for a URL, without user and password."""
    proxy = select_proxy(url, get_environ_proxies(url))
    return proxy and proxy.rpartition("@")[2].removeprefix("http://").rstrip("/")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it was raised for, outermost first; urllib3 and requests nest them in three ways."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        nested = [getattr(error, "reason", None), *getattr(error, "args", ()), error.__cause__, error.__context__]
        error = next((one for one in nested if isinstance(one, BaseException) and id(one) not in seen), None)


def switched_off(source: str) -> str | None:
    """Return the setting that forbids to download from `source`, if there is one."""
    variables = {"POCKETZOO_OFFLINE": "POCKETZOO_OFFLINE (--offline)"}
    if source.startswith("hf://"):
        variables["HF_HUB_OFFLINE"] = "HF_HUB_OFFLINE"
    for variable, name in variables.items():
        if os.environ.get(variable, "").lower() not in ("", "0", "false"):
            return name
    return None
