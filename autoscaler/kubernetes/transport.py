"""Transport: raw requests to the API server, authenticated as kubeconfig or pod says.

Configuration and credentials come from `kubernetes.aio`; its typed models are
not used. Every request has a deadline, every failure is a KubernetesError.
Credentials are read again after a 401, once per request. Writes pass a token
bucket (qps, burst). Nothing is retried here: callers know whether they may.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import anyio
import msgspec
import yaml
from kubernetes.aio import config as kubeconfigs
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from autoscaler.errors import KubernetesError
from autoscaler.kubernetes.wire import WireStatus

JSON = "application/json"
METADATA_LIST = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,{JSON}"
METADATA = f"{JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1,{JSON}"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"

Observe = Callable[[str, int], None]

_CONNECT_SECONDS = 10.0
_LONGEST_ERROR = 64 * 1024
_RELOAD_SECONDS = 5.0  # credentials are not read again more often
_FAULTY_CONFIG = (kubeconfigs.ConfigException, yaml.YAMLError, OSError, TypeError, KeyError, AttributeError, ValueError)


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesSettings:
    """Where the API server is, and how hard it may be pressed.

    Without `kubeconfig` and `master_url`: KUBECONFIG, else the pod's service
    account, else ~/.kube/config. `master_url` replaces the server's address.
    Seconds: `request_timeout` for a whole request, `silence_timeout` for a
    watch on which nothing comes, not even a bookmark.
    """

    kubeconfig: str = ""
    master_url: str = ""
    qps: float = 50.0
    burst: int = 100
    user_agent: str = "priority-autoscaler"
    request_timeout: float = 30.0
    silence_timeout: float = 150.0


class TokenBucket:
    """Lets `burst` calls through at once, and `qps` a second in the long run."""

    def __init__(self, qps: float, burst: int) -> None:
        self._qps = qps
        self._burst = float(max(burst, 1))
        self._tokens = self._burst
        self._filled: float | None = None

    async def wait_turn(self) -> None:
        """Return when the call may be made; callers are served in order of arrival."""
        if self._qps <= 0:
            return
        now = anyio.current_time()
        since = 0.0 if self._filled is None else now - self._filled
        self._tokens = min(self._burst, self._tokens + since * self._qps) - 1
        self._filled = now
        if self._tokens < 0:
            await anyio.sleep(-self._tokens / self._qps)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    limits: aiohttp.ClientTimeout
    body: Any = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Api:
    """The API server, as bytes in and out. Made by `connect`."""

    def __init__(
        self, settings: KubernetesSettings, configuration: Configuration, observe: Observe | None = None
    ) -> None:
        self._settings = settings
        self._observe = observe
        self._configuration = configuration
        self._rests = [RESTClientObject(configuration)]
        self._bucket = TokenBucket(settings.qps, settings.burst)
        self._reading_credentials = anyio.Lock()
        self._reread_at = float("-inf")

    @property
    def server(self) -> str:
        """Address of the API server."""
        return str(self._configuration.host)

    async def get_bytes(self, path: str, query: Mapping[str, str] | None = None, accept: str = JSON) -> bytes:
        """Return the body of a GET. Raises KubernetesError."""
        return await self._exchange(self._request("GET", path, query, {"Accept": accept}))

    async def send(
        self, method: str, path: str, body: Any = None, content_type: str = JSON, query: Mapping[str, str] | None = None
    ) -> bytes:
        """Write: POST, PUT, PATCH or DELETE with a JSON body, at the permitted rate. Raises KubernetesError."""
        await self._bucket.wait_turn()
        headers = {"Accept": JSON, "Content-Type": content_type}
        return await self._exchange(self._request(method, path, query, headers, body))

    @asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str], accept: str = JSON
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a GET whose body is read in chunks as they come. Raises KubernetesError, also while reading."""
        silence = self._settings.silence_timeout
        limits = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=silence)
        request = replace(self._request("GET", path, query, {"Accept": accept}), limits=limits)
        response = await self._open(request)
        try:
            yield _chunks(request, response)
        finally:
            response.close()

    async def close(self) -> None:
        """Close all connections."""
        for rest in self._rests:
            await rest.close()

    def _request(
        self, method: str, path: str, query: Mapping[str, str] | None, headers: dict[str, str], body: Any = None
    ) -> _Request:
        limits = aiohttp.ClientTimeout(total=self._settings.request_timeout, sock_connect=_CONNECT_SECONDS)
        headers["User-Agent"] = self._settings.user_agent
        return _Request(method=method, path=path, query=query or {}, headers=headers, limits=limits, body=body)

    async def _exchange(self, request: _Request) -> bytes:
        response = await self._open(request)
        try:
            return await response.read()
        except (aiohttp.ClientError, OSError) as error:
            raise _unreachable(request, error) from error
        finally:
            response.release()

    async def _open(self, request: _Request) -> aiohttp.ClientResponse:
        asked = anyio.current_time()
        try:
            response = await self._ask(request)
            if response.status == 401 and await self._read_credentials_since(asked):
                response.close()
                response = await self._ask(request)
        except KubernetesError as error:
            self._tell(request, error.status)
            raise
        self._tell(request, response.status)
        if response.status >= 400:
            raise await _refusal(request, response)
        return response

    def _tell(self, request: _Request, status: int) -> None:
        if self._observe is not None:
            self._observe(request.path, status)

    async def _ask(self, request: _Request) -> aiohttp.ClientResponse:
        url = self.server + request.path
        if request.query:
            url += "?" + urlencode(request.query)
        headers = dict(request.headers)
        rest: Any = self._rests[-1]
        try:
            token = await self._configuration.get_api_key_with_prefix("BearerToken")  # rotated ones are read again
            if token:
                headers["Authorization"] = token
            reply = await rest.request(
                request.method, url, headers=headers, body=request.body, _request_timeout=request.limits
            )
        except (aiohttp.ClientError, OSError, kubeconfigs.ConfigException) as error:
            raise _unreachable(request, error) from error
        response: aiohttp.ClientResponse = reply.response
        return response

    async def _read_credentials_since(self, asked: float) -> bool:
        """Read the credentials again; False when that was tried only just now and did not help."""
        async with self._reading_credentials:
            if self._reread_at > asked:
                return True  # another request has done it meanwhile
            if anyio.current_time() - self._reread_at < _RELOAD_SECONDS:
                return False
            configuration = await _read_configuration(self._settings)
            self._reread_at = anyio.current_time()
            if _is_other_client(self._configuration, configuration):
                self._rests.append(RESTClientObject(configuration))  # the old ones still carry streams
            self._configuration = configuration
            return True


@asynccontextmanager
async def connect(settings: KubernetesSettings, observe: Observe | None = None) -> AsyncIterator[Api]:
    """Yield an Api for the configured cluster. Raises KubernetesError when there is no usable configuration.

    `observe` is told the path and the HTTP status of each request, 0 without an answer.
    """
    api = Api(settings, await _read_configuration(settings), observe)
    try:
        yield api
    finally:
        with anyio.CancelScope(shield=True):
            await api.close()


async def _read_configuration(settings: KubernetesSettings) -> Configuration:
    configuration = Configuration()
    configuration.retries = None
    configuration.connection_pool_maxsize = 200
    path = settings.kubeconfig or os.environ.get("KUBECONFIG", "")
    try:
        if path or not settings.master_url:
            await _load(configuration, path)
    except _FAULTY_CONFIG as error:
        raise KubernetesError(0, "Configuration", f"kubeconfig {path or '(default)'}: {error}") from error
    if settings.master_url:
        configuration.host = settings.master_url.rstrip("/")
    return configuration


async def _load(configuration: Configuration, path: str) -> None:
    loader: Any = kubeconfigs
    if not path and os.environ.get("KUBERNETES_SERVICE_HOST"):
        loader.load_incluster_config(client_configuration=configuration)
        return
    path = path or str(kubeconfigs.KUBE_CONFIG_DEFAULT_LOCATION)
    if not _exists(path):
        raise FileNotFoundError("no such file, and this is no pod with a service account")
    await loader.load_kube_config(config_file=path, client_configuration=configuration, persist_config=False)


def _exists(path: str) -> bool:
    """Tell whether any file of the list exists, as KUBECONFIG may name several."""
    return any(Path(each).expanduser().exists() for each in path.split(os.pathsep) if each)


def _is_other_client(old: Configuration, new: Configuration) -> bool:
    """Tell whether the connections themselves differ: certificates, verification or proxy."""
    names = ("ssl_ca_cert", "cert_file", "key_file", "verify_ssl", "proxy", "tls_server_name")
    return any(getattr(old, name) != getattr(new, name) for name in names)


async def _chunks(request: _Request, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.content.iter_any():
            yield chunk
    except (aiohttp.ClientError, OSError) as error:
        raise _unreachable(request, error) from error


def _unreachable(request: _Request, error: Exception) -> KubernetesError:
    reason = "Timeout" if isinstance(error, TimeoutError) else "Unreachable"
    return KubernetesError(0, reason, f"{request}: {str(error) or type(error).__name__}")


async def _refusal(request: _Request, response: aiohttp.ClientResponse) -> KubernetesError:
    try:
        body = await response.content.read(_LONGEST_ERROR)
        status = msgspec.json.decode(body, type=WireStatus)
    except (aiohttp.ClientError, OSError, msgspec.DecodeError):
        status = WireStatus()
    finally:
        response.close()
    told = status.message or response.reason or ""
    message = f"{request}: {response.status} {told}".rstrip()
    wait = response.headers.get("Retry-After", "")
    return KubernetesError(response.status, status.reason, message, float(wait) if wait.isdecimal() else 0.0)
