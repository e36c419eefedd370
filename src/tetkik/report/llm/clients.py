"""The clients of language models, and where the name of a server leads.

Where a name leads: looked up once, judged, and connected to as it was judged.

A name that is looked up again for the connection may lead elsewhere by then (DNS rebinding).
"""

from __future__ import annotations

import base64
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx

from tetkik.errors import MissingExtra
from tetkik.report.llm.interface import (
    CUT_OFF,
    MOST_BYTES,
    REFUSED,
    Deadline,
    ModelFault,
    Piece,
    Prompt,
    StreamingModel,
    Usage,
)

if TYPE_CHECKING:
    import httpcore


def addresses_of(host: str) -> tuple[str, ...]:
    """The addresses of a host, in the order in which they are to be tried; empty where it is not known."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def are_inside(addresses: Sequence[str]) -> bool:
    """Whether all of them, and there is one, are this machine's or of a private network (RFC 1918, 4193)."""
    known = [ipaddress.ip_address(text.split("%", 1)[0]) for text in addresses]
    return bool(known) and all(item.is_private and not item.is_unspecified for item in known)


class FixedTransport(httpx.HTTPTransport):
    """Connects to these addresses alone, the first that answers; TLS asks for a certificate of the name."""

    def __init__(self, addresses: Sequence[str], verify: ssl.SSLContext | bool = True) -> None:
        super().__init__(verify=verify, trust_env=False)
        self._addresses = tuple(addresses)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """As that of `httpx.HTTPTransport`. The header Host keeps the name."""
        name = request.url.raw_host.decode("ascii")
        fault: httpx.TransportError = httpx.ConnectError("no such host", request=request)
        for address in self._addresses:
            extensions = {**request.extensions, "sni_hostname": name}
            there = httpx.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions=extensions,
            )
            try:
                return super().handle_request(there)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                fault = error
        raise fault


# Google's Gemini, through its own client.


DEFAULT_MODEL = "gemini-2.5-flash"


class Gemini(StreamingModel):
    """A model of Google's service, outside the hospital, or of a gateway under `url`.

    Raises MissingExtra where google-genai is not installed.
    """

    def __init__(self, model: str, key: str, *, url: str = "", max_tokens: int = 2000) -> None:
        try:
            from google import genai
        except ImportError:
            raise MissingExtra("Gemini needs the package google-genai; `{extra}`.", extra="llm") from None
        self._genai = genai
        self._model, self._key, self._url, self._max_tokens = model or DEFAULT_MODEL, key, url, max_tokens
        self._stopped = threading.Event()

    @property
    def name(self) -> str:
        return self._model

    def _pieces(self, prompt: Prompt, deadline: Deadline) -> Iterator[Piece]:
        from google.genai import errors, types

        client = self._genai.Client(
            api_key=self._key,
            http_options=types.HttpOptions(
                timeout=max(10, int(deadline.left * 1000)), base_url=self._url or None
            ),
        )
        config = types.GenerateContentConfig(
            system_instruction=prompt.system,
            temperature=0,
            max_output_tokens=self._max_tokens,
            response_mime_type="application/json",
            response_json_schema=dict(prompt.schema),
        )
        try:
            for part in client.models.generate_content_stream(
                model=self._model, contents=prompt.user, config=config
            ):
                reasons = {getattr(item.finish_reason, "value", "") or "" for item in part.candidates or ()}
                refused = REFUSED if reasons - {"", "STOP", "MAX_TOKENS"} else None
                counts, usage = part.usage_metadata, None
                if counts is not None:
                    usage = Usage(counts.prompt_token_count or 0, counts.candidates_token_count or 0, 1)
                yield Piece(part.text or "", CUT_OFF if "MAX_TOKENS" in reasons else refused, usage)
        except errors.APIError as error:
            raise ModelFault(
                "The language model's server answered with HTTP status {status}.", status=error.code
            ) from None


# Any server that speaks OpenAI's chat completions: vLLM, Ollama, llama.cpp, LM Studio.


_CONNECT = 5.0
_MOST_STREAMED = 8 * MOST_BYTES
"""Each token comes in an envelope of some hundred bytes."""
_MADE = {"connection.connect_tcp.complete", "connection.start_tls.complete"}
"""What httpcore tells of a connection (its extension `trace`)."""
_REFUSALS = {"content_filter", "refusal"}


class OpenAIServer(StreamingModel):
    """A server under `url`, such as `http://localhost:8000/v1`.

    Without a model it is asked for the first that it lists; the key is sent as a bearer token. No other
    `addresses` are connected to than these of its host. `images`: whether it may get the image.
    """

    def __init__(
        self,
        url: str,
        addresses: Sequence[str],
        model: str = "",
        key: str = "",
        *,
        max_tokens: int = 2000,
        images: bool = False,
    ) -> None:
        # Not packed: a small answer could unpack to one without end.
        headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {key}"} if key else {})
        # A redirect could lead a report out of the hospital, and so could a proxy of the environment.
        base = url.rstrip("/") + "/"
        self._client = httpx.Client(
            base_url=base,
            headers=headers,
            transport=FixedTransport(addresses),
            follow_redirects=False,
            trust_env=False,
        )
        self._model, self._max_tokens = model, max_tokens
        self.image_host = self._client.base_url.host if images else None
        self._structured = True
        self._lock = threading.Lock()
        self._connections: list[httpcore.NetworkStream] = []
        self._stopped = threading.Event()

    @property
    def name(self) -> str:
        return self._model or "language model"

    def stop(self) -> None:
        """See `LanguageModel.stop`. The end of the connection tells the server, and stops its work."""
        with self._lock:
            super().stop()
            connections = tuple(self._connections)
        for connection in connections:
            _end(connection)

    def _first_model(self, deadline: Deadline) -> str:
        response = self._client.get("models", timeout=_timeout(deadline), extensions=self._watched)
        try:
            return str(response.json()["data"][0]["id"])
        except (ValueError, LookupError, TypeError):
            raise ModelFault(
                "The language model's server lists no model; name one with the setting llm_model."
            ) from None

    def _pieces(self, prompt: Prompt, deadline: Deadline) -> Iterator[Piece]:
        if not self._model:
            self._model = self._first_model(deadline)
        with self._client.stream(
            "POST",
            "chat/completions",
            json=self._body(prompt),
            timeout=_timeout(deadline),
            extensions=self._watched,
        ) as response:
            if response.status_code == httpx.codes.OK:
                yield from map(_piece, _events(response, deadline))
                return
        if response.status_code != httpx.codes.BAD_REQUEST or not self._structured:
            raise ModelFault(
                "The language model's server answered with HTTP status {status}.",
                status=response.status_code,
            )
        # An older server that does not know schemas; the answer is checked by ours either way.
        self._structured = False
        yield from self._pieces(prompt, deadline)

    @property
    def _watched(self) -> dict[str, Any]:
        return {"trace": self._connected}

    def _connected(self, event: str, about: dict[str, Any]) -> None:
        """Keep each connection as it is made: a thread that waits for bytes is woken by their end alone."""
        if event not in _MADE:
            return
        connection = about["return_value"]
        with self._lock:
            self._connections.append(connection)
        if self._stopped.is_set():
            _end(connection)

    def _body(self, prompt: Prompt) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [
                {"role": "system", "content": prompt.system},
                {"role": "user", "content": _content(prompt)},
            ],
            "temperature": 0,
            "max_tokens": self._max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self._structured:
            schema = {"name": "draft", "schema": dict(prompt.schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body


def _content(prompt: Prompt) -> str | list[dict[str, Any]]:
    """The question; with an image in parts, a data URL among them (OpenAI, chat completions, vision)."""
    if prompt.image is None:
        return prompt.user
    url = "data:image/png;base64," + base64.b64encode(prompt.image).decode()
    return [{"type": "text", "text": prompt.user}, {"type": "image_url", "image_url": {"url": url}}]


def _end(connection: httpcore.NetworkStream) -> None:
    with suppress(OSError):  # it has ended already, or TLS has taken it over
        connection.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


def _timeout(deadline: Deadline) -> httpx.Timeout:
    return httpx.Timeout(max(0.01, deadline.left), connect=min(_CONNECT, max(0.01, deadline.left)))


def _piece(event: dict[str, Any]) -> Piece:
    """One event of a streamed answer, or all of one from a server that does not stream."""
    choices = event.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else {}
    part = choice.get("delta") or choice.get("message") or {}
    text, reason = part.get("content"), choice.get("finish_reason")
    refused = REFUSED if part.get("refusal") or reason in _REFUSALS else None
    return Piece(
        text if isinstance(text, str) else "", CUT_OFF if reason == "length" else refused, _usage(event)
    )


def _events(response: httpx.Response, deadline: Deadline) -> Iterator[dict[str, Any]]:
    """The JSON objects of a stream of server-sent events, or the one of a plain answer."""
    plain: list[str] = []
    for line in _lines(response, deadline):
        if line.startswith("data:"):
            content = line.removeprefix("data:").strip()
            if content == "[DONE]":
                return
            yield _object(content)
        elif line and not line.startswith((":", "event:", "id:", "retry:")):
            plain.append(line)
    if plain:
        yield _object("\n".join(plain))


def _lines(response: httpx.Response, deadline: Deadline) -> Iterator[str]:
    """The lines of an answer, in time and of bounded size, also where no line ever ends."""
    waiting, read = b"", 0
    for chunk in response.iter_bytes():
        read += len(chunk)
        if read > _MOST_STREAMED:
            raise ModelFault("The language model's answer does not end.")
        if not deadline.left:
            raise ModelFault("The language model did not answer in time.")
        *lines, waiting = (waiting + chunk).split(b"\n")
        yield from (line.decode("utf-8", "replace").strip() for line in lines)
    yield waiting.decode("utf-8", "replace").strip()


def _object(content: str) -> dict[str, Any]:
    try:
        event = json.loads(content)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict) or "error" in event:
        raise ModelFault("The language model's server answered with something that is no completion.")
    return event


def _usage(event: dict[str, Any]) -> Usage | None:
    usage = event.get("usage")
    if not isinstance(usage, dict):
        return None
    numbers = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
    tokens_in, tokens_out = (value if isinstance(value, int) else 0 for value in numbers)
    return Usage(tokens_in, tokens_out, 1)
