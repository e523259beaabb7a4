"""Records: what the fixture ws_replay is, a session recorded once and played in each later run.

Its rule: records lie in the folder ws_records beside the tests, and only --wslab-record makes or
changes one, and only by a test that passes. Playing and recording are `replay`'s and `taps`'.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from ..replays.replay import Replay, replay
from ..server.server import Server
from ..taps.start import tap
from ..taps.tap import Tap
from .bench import Bench

__all__ = ["FOLDER", "Records"]

FOLDER = "ws_records"
_MAX_BYTES = 64 * 2**20  # of one record


class Records:
    """The fixture ``ws_replay``.

    Args:
        bench: of this test.
        folder: where its records are.
        mode: "none" plays only; "once" records what is not there; "all" records all anew.
    """

    def __init__(self, bench: Bench, folder: Path, mode: Literal["none", "once", "all"]) -> None:
        self._bench = bench
        self._folder = folder
        self._mode = mode

    def __call__(
        self, name: str, target: Server | str | None = None, *, tcp: bool = False, **kwargs: Any
    ) -> Replay | Tap:
        """Play a record at ``.url``, or make it; where the test differs from it, the test fails.

        Without ``--wslab-record`` the server's side of ``ws_records/NAME.har`` is played. With it,
        and where it is to be made, ``.url`` leads to the target, and what crosses is the record,
        saved at the end of a test that passes, with secrets redacted.

        Args:
            name: of the record; may name a folder in it, such as ``"feed/reconnect"``.
            target: what to record: a URL, or a Server of ``ws_serve``.
            tcp: play it over TCP, in place of the network in memory.
            kwargs: of :func:`wslab.replay`: ``match``, ``ignore``, ``bind``, ``timing``, ...

        Raises:
            FileNotFoundError: there is no such record; says how to make it.
            ValueError: the name leads out of the folder.
        """
        path = self._folder / f"{name}.har"
        if not path.resolve().is_relative_to(self._folder.resolve()):
            raise ValueError(f"expected the name of a record in {FOLDER}, got {name!r}")
        is_wanted = self._mode == "all" or (self._mode == "once" and not path.exists())
        if is_wanted and target is not None:
            return self._record(path, target, tcp=tcp)
        if not path.exists():
            raise FileNotFoundError(
                f"expected the record {path}, which is not there. With a target, as in "
                f"ws_replay({name!r}, URL), pytest --wslab-record=once makes it"
            )
        return self._play(path, tcp=tcp, kwargs=kwargs)

    def _play(self, path: Path, *, tcp: bool, kwargs: dict[str, Any]) -> Replay:
        bench = self._bench
        bench.use(tcp=tcp or bench.is_tcp)
        playing = replay(path, **kwargs)

        def judge() -> None:
            playing.stop()
            if playing.differences:
                bench.complain(
                    f"the test differs from its record {path.name} (pytest --wslab-record=all "
                    f"makes the record anew):\n{playing.differences!r}"
                )

        assert playing.server is not None
        bench.add_server(playing.server, judge)
        return playing

    def _record(self, path: Path, target: Server | str, *, tcp: bool) -> Tap:
        bench = self._bench
        # A URL is somewhere else; a server of this test is where the test is.
        bench.use(tcp=tcp or bench.is_tcp or isinstance(target, str))
        recording = tap(target, name=path.stem, record=_MAX_BYTES)

        def save() -> None:
            recording.stop()
            tape = recording.tape
            assert tape is not None
            if bench.has_failed:
                return  # the record of a mistake
            if not recording.connections_seen:
                bench.complain(f"nothing connected to {recording.url}: no record {path.name}")
            elif tape.dropped:
                bench.complain(f"no record {path.name}: it is larger than {_MAX_BYTES:,} bytes")
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                tape.to_har(path)

        bench.add_server(recording, save)
        return recording
