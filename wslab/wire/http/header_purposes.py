"""What each HTTP header is for, who sets it, and where that is written: a table.

Its rule: it explains names and never judges values. Who sets a header of a request differs between
a browser, where script may set only a few, and any other program.
"""

from __future__ import annotations

from ..sender import Sender

__all__ = ["explain", "is_known"]

# program, so each of these is a pair: (in a browser, elsewhere).
_PROGRAM = "the client program"
_ENGINE = ("the browser's engine, script cannot change it", _PROGRAM)
_JAR = ("the browser's engine, from its cookie jar; script cannot change it here", _PROGRAM)
_SCRIPT = ("the page's script with fetch (never on a WebSocket), or the browser's engine", _PROGRAM)
_PROTOCOLS = ("the page's script: the second argument of new WebSocket(url, protocols)", _PROGRAM)
_PROXY = ("a proxy on the way", "a proxy on the way")
_SERVER = ("the server", "the server")
_WHATWG_SSE = "HTML Living Standard §9.2"
_FETCH = "WHATWG Fetch, CORS protocol"
_METADATA = "W3C Fetch Metadata §2"
_NO_RFC = "no RFC: in wide use"

# name: (who sets it in a request, section, purpose)
_KNOWN: dict[str, tuple[tuple[str, str], str, str]] = {
    # the WebSocket handshake
    "host": (_ENGINE, "RFC 9110 §7.2", "Names the host and port the client wants. One address can "
             "serve many names, and a server can refuse a name that is not its own."),
    "upgrade": (_ENGINE, "RFC 6455 §4.1", "Asks to go on in another protocol on this same "
                "connection. A WebSocket handshake says: websocket."),
    "connection": (_ENGINE, "RFC 9110 §7.6.1", "Lists what concerns this hop only; a proxy takes "
                   "it out. Upgrade counts only if listed here; keep-alive holds the connection."),
    "sec-websocket-key": (_ENGINE, "RFC 6455 §11.3.1", "16 random bytes in base64, new for each "
                          "connection. The server must answer with a value derived from them, "
                          "which proves that it speaks WebSocket; it is no password."),
    "sec-websocket-version": (_ENGINE, "RFC 6455 §11.3.5", "The version of the protocol that the "
                              "client speaks. It is always 13."),
    "sec-websocket-protocol": (_PROTOCOLS, "RFC 6455 §11.3.4", "The subprotocols that the client "
                               "offers, best first: what the messages will mean. The server picks "
                               "at most one."),
    "sec-websocket-extensions": (_ENGINE, "RFC 6455 §11.3.2", "The extensions of the framing that "
                                 "the client offers, such as permessage-deflate (compression)."),
    "sec-websocket-accept": (_SERVER, "RFC 6455 §11.3.3", "Base64 of the SHA-1 of the client's key "
                             "and a fixed GUID. It proves that the server read this very request "
                             "and knows WebSocket."),
    "origin": (_ENGINE, "RFC 6455 §10.2", "The page that opens the connection: scheme, host and "
               "port. A server checks it to keep other sites' pages out; CORS does not do it."),
    # who and what asks
    "user-agent": (_ENGINE, "RFC 9110 §10.1.5", "The program that asks, by its own account."),
    "referer": (_ENGINE, "RFC 9110 §10.1.3", "The page from which the request came."),
    "cookie": (_JAR, "RFC 6265 §4.2", "What the server asked the browser to remember, often a "
               "login. A browser sends it with a WebSocket handshake too."),
    "authorization": (_SCRIPT, "RFC 9110 §11.6.2", "Credentials for the server. Script in a "
                      "browser cannot add it to a WebSocket."),
    "proxy-authorization": (_ENGINE, "RFC 9110 §11.7.2", "Credentials for a proxy on the way."),
    "x-xsrftoken": (_SCRIPT, _NO_RFC, "Repeats a secret from a cookie, which a foreign page cannot "
                    "read: so the request comes from the site's own page. Tornado and Jupyter."),
    "x-api-key": (_SCRIPT, _NO_RFC, "A key that tells the server which customer asks."),
    "x-requested-with": (_SCRIPT, _NO_RFC, "A mark that script made the request, not a link."),
    "sec-fetch-site": (_ENGINE, f"{_METADATA}.3", "Whether the page and the address belong to the "
                       "same site, so that a server can refuse what comes from elsewhere."),
    "sec-fetch-mode": (_ENGINE, f"{_METADATA}.2", "How the browser makes the request: navigate, "
                       "cors, websocket and so on."),
    "sec-fetch-dest": (_ENGINE, f"{_METADATA}.1", "What the answer will be used for: document, "
                       "image, empty (for script) and so on."),
    "sec-fetch-user": (_ENGINE, f"{_METADATA}.4", "?1 when a person clicked to go there."),
    "sec-ch-ua": (_ENGINE, "W3C UA Client Hints §3.1", "The browser's brands and versions."),
    "sec-ch-ua-mobile": (_ENGINE, "W3C UA Client Hints §3.5", "Whether the browser is on a phone."),
    "sec-ch-ua-platform": (_ENGINE, "W3C UA Client Hints §3.7", "The operating system."),
    "upgrade-insecure-requests": (_ENGINE, "W3C Upgrade Insecure Requests §3", "The browser would "
                                  "rather have the page by https. Not related to Upgrade."),
    "dnt": (_ENGINE, _NO_RFC, "The person asks not to be tracked."),
    "priority": (_ENGINE, "RFC 9218 §4", "How urgent the answer is among others."),
    # what the client can take
    "accept": (_SCRIPT, "RFC 9110 §12.5.1", "The kinds of content that the client can take. An "
               "EventSource asks for text/event-stream."),
    "accept-encoding": (_ENGINE, "RFC 9110 §12.5.3", "The compressions of a body that the client "
                        "can undo. It has nothing to do with compressed WebSocket messages."),
    "accept-language": (_SCRIPT, "RFC 9110 §12.5.4", "The languages the person reads, best first."),
    "accept-charset": (_ENGINE, "RFC 9110 §12.5.2", "The character sets the client can read; "
                       "obsolete, since everything is UTF-8."),
    "te": (_ENGINE, "RFC 9110 §10.1.4", "The transfer codings that the client can undo."),
    "expect": (_ENGINE, "RFC 9110 §10.1.1", "With 100-continue the client waits for the server's "
               "leave before it sends a body."),
    "range": (_SCRIPT, "RFC 9110 §14.2", "The client wants only a part of the content."),
    "if-none-match": (_SCRIPT, "RFC 9110 §13.1.2", "The ETag the client has already: if it still "
                      "holds, the answer is 304 without a body. It makes polling cheap."),
    "if-modified-since": (_SCRIPT, "RFC 9110 §13.1.3", "The date of the client's copy: if nothing "
                          "has changed since, the answer is 304 without a body."),
    "last-event-id": (_ENGINE, _WHATWG_SSE, "The id of the last event that an EventSource saw "
                      "before it lost the connection, so that the server goes on from there."),
    # the body and the connection
    "content-type": (_SCRIPT, "RFC 9110 §8.3", "What the body is. text/event-stream is a stream "
                     "of server-sent events."),
    "content-length": (_ENGINE, "RFC 9110 §8.6", "The size of the body in bytes."),
    "content-encoding": (_SCRIPT, "RFC 9110 §8.4", "How the body is compressed."),
    "content-language": (_SCRIPT, "RFC 9110 §8.5", "The language of the body's readers."),
    "transfer-encoding": (_ENGINE, "RFC 9112 §6.1", "How the body is cut up on this hop. chunked "
                          "lets a server send a body whose length it does not know yet."),
    "trailer": (_ENGINE, "RFC 9110 §6.6.2", "The headers that will follow the body."),
    "keep-alive": (_ENGINE, "RFC 2068 §19.7.1", "How long an idle connection is held, and for how "
                   "many requests."),
    "cache-control": (_SCRIPT, "RFC 9111 §5.2", "Whether a cache may keep or use a copy; no-cache "
                      "asks for a fresh answer from the server itself."),
    "pragma": (_SCRIPT, "RFC 9111 §5.4", "no-cache for caches of the 1990s. Cache-Control "
               "replaced it, browsers still send it."),
    # the way
    "via": (_PROXY, "RFC 9110 §7.6.3", "The proxies that the message passed."),
    "forwarded": (_PROXY, "RFC 7239 §4", "What the proxy saw: the client's address, the host and "
                  "the scheme that it asked for. The standard form of X-Forwarded-*."),
    "x-forwarded-for": (_PROXY, _NO_RFC, "The client's address as the proxy saw it. Anyone can "
                        "send it: trust it only from your own proxy."),
    "x-forwarded-proto": (_PROXY, _NO_RFC, "The scheme (http or https) that the client used "
                          "towards the proxy."),
    "x-forwarded-host": (_PROXY, _NO_RFC, "The Host that the client asked the proxy for."),
    "x-forwarded-port": (_PROXY, _NO_RFC, "The port that the client connected to at the proxy."),
    "x-real-ip": (_PROXY, _NO_RFC, "The client's address as the proxy saw it (nginx)."),
    "x-request-id": (_PROXY, _NO_RFC, "A name for this request, to find it again in every log."),
    # answers
    "date": (_SERVER, "RFC 9110 §6.6.1", "When the message was made."),
    "server": (_SERVER, "RFC 9110 §10.2.4", "The program that answers, by its own account."),
    "set-cookie": (_SERVER, "RFC 6265 §4.1", "Asks the browser to remember a value and to send it "
                   "back as Cookie. It works in the answer to a WebSocket handshake too."),
    "location": (_SERVER, "RFC 9110 §10.2.2", "Where to go instead. A browser does not follow it "
                 "for a WebSocket."),
    "retry-after": (_SERVER, "RFC 9110 §10.2.3", "How long to wait before the next attempt: "
                    "seconds or a date."),
    "allow": (_SERVER, "RFC 9110 §10.2.1", "The methods that this address takes."),
    "www-authenticate": (_SERVER, "RFC 9110 §11.6.1", "How to prove who you are: the scheme that "
                         "the server wants in Authorization."),
    "proxy-authenticate": (_SERVER, "RFC 9110 §11.7.1", "How to prove to a proxy who you are."),
    "etag": (_SERVER, "RFC 9110 §8.8.3", "A name for this version of the content, to ask later "
             "whether it has changed."),
    "last-modified": (_SERVER, "RFC 9110 §8.8.2", "When the content last changed."),
    "expires": (_SERVER, "RFC 9111 §5.3", "Until when a cache may use this answer."),
    "age": (_PROXY, "RFC 9111 §5.1", "For how many seconds a cache has held this answer."),
    "vary": (_SERVER, "RFC 9110 §12.5.5", "The request headers that this answer depends on."),
    "accept-ranges": (_SERVER, "RFC 9110 §14.3", "Whether parts of the content can be asked for."),
    "content-range": (_SERVER, "RFC 9110 §14.4", "Which part of the content this is."),
    "alt-svc": (_SERVER, "RFC 7838 §3", "Where else, or in which HTTP version, it is served."),
    "access-control-allow-origin": (_SERVER, _FETCH, "Which page may read this answer by script. "
                                    "It has no effect on a WebSocket."),
    "access-control-allow-credentials": (_SERVER, _FETCH, "Whether the page may read an answer to "
                                         "a request that carried cookies."),
    "content-security-policy": (_SERVER, "W3C Content Security Policy 3 §3.1", "What the page may "
                                "load and connect to; connect-src rules its WebSockets."),
    "strict-transport-security": (_SERVER, "RFC 6797 §6.1", "From now on only https and wss for "
                                  "this host."),
    "x-content-type-options": (_SERVER, "WHATWG Fetch §3.6", "nosniff: believe Content-Type."),
    "x-powered-by": (_SERVER, _NO_RFC, "The framework that answers, by its own account."),
    "x-accel-buffering": (_SERVER, _NO_RFC, "no tells nginx to pass a stream on at once."),
}  # fmt: skip

# The same name means something else in an answer.
_IN_ANSWER: dict[str, tuple[str, str]] = {
    "upgrade": ("RFC 6455 §4.2.2", "With 101: the protocol spoken from the next byte on. With 426: "
                "the protocol that the server wants to be asked for."),
    "sec-websocket-protocol": ("RFC 6455 §11.3.4", "The one subprotocol that the server picked "
                               "from those offered."),
    "sec-websocket-extensions": ("RFC 6455 §11.3.2", "The extensions that the server agreed to. "
                                 "From now on both sides use them."),
    "sec-websocket-version": ("RFC 6455 §4.4", "The versions that the server speaks. It is sent "
                              "when the version asked for is not among them."),
}  # fmt: skip


def explain(name: str, sender: Sender, *, is_browser: bool = False) -> tuple[str, str, str]:
    """Return (purpose, set_by, section) for a header's name.

    Args:
        name: the header's name, in any case.
        sender: who sent the head: the same name can mean another thing in an answer.
        is_browser: whether the client is a browser, where script may set only a few headers.
    """
    name = name.lower()
    if name not in _KNOWN:
        purpose = (
            "Not a header this library knows: the application, a proxy or a newer standard adds it."
        )
        set_by = "the client program or a proxy" if sender == "client" else "the server or a proxy"
        return purpose, set_by, "RFC 9110 §5.1"
    who, section, purpose = _KNOWN[name]
    if sender == "client":
        return purpose, who[0 if is_browser else 1], section
    if name in _IN_ANSWER:
        section, purpose = _IN_ANSWER[name]
    return purpose, _PROXY[0] if who is _PROXY else _SERVER[0], section


def is_known(name: str) -> bool:
    """Tell whether the table has a header, in any case."""
    return name.lower() in _KNOWN
