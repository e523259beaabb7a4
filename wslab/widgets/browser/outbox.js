// What waits to be told to the kernel, in order: events, orders for sockets there, commands that ran.
// It goes in numbered batches, never more than the kernel has answered for.

const IN_FLIGHT = 4;  // batches that the kernel has not answered yet
const BATCH_EVENTS = 500;
const BATCH_BYTES = 512 * 1024;
const MAX_EVENTS = 10000;  // that wait for the kernel, and at most so many bytes of them:
const MAX_EVENT_BYTES = 8 * 2 ** 20;

// In bytes: a text's size is known where it is whole, and else its beginning is short.
const sizeOf = (event) => 150 + (event.js?.length ?? 0) + (event.text?.length ?? 0)
  + (event.kept ?? event.bytes?.length ?? (event.is_cut || event.data === undefined
    ? 3 * (event.data?.length ?? 0) : event.size_bytes));

class Outbox {
  constructor() {
    this.events = [];
    this.bytes = 0;
    this.orders = [];
    this.done = [];
    this.dropped = 0;  // and not yet told
    this.droppedAll = 0;
    this.number = 0;
    this.answered = 0;
    this.heard = null;  // when the kernel's last message was sent, and when it came
  }

  // Another page had the sockets meanwhile, or none: what was not answered will not be.
  beginAnew(isBack) {
    if (!isBack) this.number = 0;
    this.answered = this.number;
  }

  get isFull() {
    return this.number - this.answered >= IN_FLIGHT;
  }

  get hasMore() {
    return Boolean(this.orders.length || (this.events.length && !this.events[0].pending));
  }

  add(event) {
    this.events.push(event);
    this.bytes += sizeOf(event);
    if (this.events.length > MAX_EVENTS || this.bytes > MAX_EVENT_BYTES) this.shorten();
  }

  // A socket in the kernel is of no more use.
  forget(id) {
    this.orders = this.orders.filter((order) => order.id !== id);
  }

  // Too much for the kernel: messages go first, the oldest first, down to a quarter below the bound.
  shorten() {
    let count = this.events.length - 0.75 * MAX_EVENTS;
    let bytes = this.bytes - 0.75 * MAX_EVENT_BYTES;
    const isMessage = ({ type, size_bytes: size }) => type === "message" || (type === "call" && size);
    for (const isLess of [isMessage, () => true]) {
      this.events = this.events.filter((event) => {
        if ((count <= 0 && bytes <= 0) || !isLess(event)) return true;
        count -= 1;
        bytes -= sizeOf(event);
        this.bytes -= sizeOf(event);
        this.dropped += 1;
        this.droppedAll += 1;
        return false;
      });
    }
  }

  // The next batch and its buffers, or null where there is nothing to tell.
  take(says) {
    const buffers = [];
    const events = this.takeEvents(buffers);
    const orders = this.takeOrders(buffers);
    const { heard, dropped } = this;
    if (!events.length && !orders.length && !says.length && !this.done.length && !dropped) return null;
    this.number += 1;
    this.dropped = 0;
    this.heard = null;
    const done = this.done.splice(0);
    const said = { type: "batch", number: this.number, at: wallClock(), heard, events, orders, says, done, dropped };
    return [said, buffers];
  }

  takeEvents(buffers) {
    const events = [];
    let size = 0;
    while (this.events.length > events.length && events.length < BATCH_EVENTS && size < BATCH_BYTES) {
      const event = this.events[events.length];
      if (event.pending) break;
      size += sizeOf(event);
      const { bytes, row, pending, kept, ...said } = event;
      if (bytes) {
        said.buffer = buffers.length;
        buffers.push(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
      }
      events.push(said);
    }
    this.events.splice(0, events.length);
    this.bytes = this.events.length ? this.bytes - size : 0;
    return events;
  }

  takeOrders(buffers) {
    const orders = [];
    let size = 0;
    while (this.orders.length && orders.length < BATCH_EVENTS && size < BATCH_BYTES) {
      const { bytes, ...said } = this.orders.shift();
      size += MESSAGE_BYTES + (bytes?.length ?? 3 * (said.data?.length ?? 0));
      if (bytes) {
        said.buffer = buffers.length;
        buffers.push(bytes.buffer);
      }
      orders.push(said);
    }
    return orders;
  }
}
