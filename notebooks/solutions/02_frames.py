"""Lesson 02, "02 parser": bytes in any pieces, whole messages out."""

import wslab
from wslab.learn import check


def unmask(body, key):
    return bytes(byte ^ key[i % 4] for i, byte in enumerate(body))


class Parser:
    def __init__(self):
        self.buffer = b""  # bytes that came and are not used yet
        self.opcode = None  # of the message that has begun
        self.parts = []  # its payload so far

    def feed(self, data):
        self.buffer += data
        messages = []
        while (frame := self.take()) is not None:
            fin, opcode, payload = frame
            if opcode >= 8:  # a control frame: a message of its own
                messages.append((opcode, payload))
                continue
            if opcode != 0:
                self.opcode, self.parts = opcode, []
            self.parts.append(payload)
            if fin:
                messages.append((self.opcode, b"".join(self.parts)))
        return messages

    def take(self):
        """Take one whole frame from the front of the buffer; None where there is none yet."""
        if len(self.buffer) < 2:
            return None
        fin, opcode = self.buffer[0] >> 7, self.buffer[0] & 0b1111
        masked, length = self.buffer[1] >> 7, self.buffer[1] & 0b1111111
        start = 2
        if length >= 126:
            start = 4 if length == 126 else 10
            if len(self.buffer) < start:
                return None
            length = int.from_bytes(self.buffer[2:start], "big")
        key = b""
        if masked:
            key = self.buffer[start : start + 4]
            start += 4
        end = start + length
        if len(self.buffer) < end:
            return None
        payload = self.buffer[start:end]
        self.buffer = self.buffer[end:]
        return fin, opcode, unmask(payload, key) if masked else payload


if __name__ == "__main__":
    print(check("02 parser", Parser))
    wslab.shutdown()
