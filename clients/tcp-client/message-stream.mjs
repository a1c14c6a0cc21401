// Owns what a connection sends: its messages one after the other, as a stream that is made while it is read, so that
// one of many MiB costs no memory, to send or to check. Knows nothing of sockets.

// Padding is cut from one block of printable bytes. A prime length, so that no block of a power of two that went
// missing, came twice or changed places looks like its neighbour.
const PADDING_BYTES = 65_521;
const padding = makePadding();

/**
 * The messages of one connection. The same arguments give the same bytes, so the sender has one stream and the one who
 * checks has another.
 *
 * Message M of connection I in process PID is `[process PID](I) message M`, and a newline. With a size, it is padded
 * before the newline, or cut where its text is longer, to exactly that many bytes.
 */
export class MessageStream {
  /** How many messages have been read to their end. */
  completed = 0;

  #pid;
  #index;
  #messages;
  #sizeBytes;
  #text; // the words and the newline
  #paddingBytes; // of the whole message
  #paddingStart; // where in the block it begins
  #offset = 0; // in the message: words, padding, newline

  /**
   * @param {{pid: number, index: number, messages: number, sizeBytes: number | undefined}} stream
   */
  constructor({ pid, index, messages, sizeBytes }) {
    this.#pid = pid;
    this.#index = index;
    this.#messages = messages;
    this.#sizeBytes = sizeBytes;
    this.#begin();
  }

  get ended() {
    return this.completed === this.#messages;
  }

  /** The number of the message that the next byte belongs to, from 1. */
  get message() {
    return this.completed + 1;
  }

  /** Where in that message the next byte stands, from 0. */
  get offset() {
    return this.#offset;
  }

  /**
   * The next bytes, at least one and at most `mostBytes`, never of two messages; empty at the end. The buffer is
   * shared: not to be written to.
   *
   * @param {number} mostBytes
   * @returns {Buffer}
   */
  read(mostBytes) {
    if (this.ended) {
      return padding.subarray(0, 0);
    }
    const piece = this.#piece(mostBytes);
    this.#offset += piece.length;
    if (this.#offset === this.#text.length + this.#paddingBytes) {
      this.completed += 1;
      this.#begin();
    }
    return piece;
  }

  // Without padding, which goes between words and newline, the text is one piece, and so one write.
  #begin() {
    this.#offset = 0;
    const words = `[process ${this.#pid}](${this.#index}) message ${this.message}`;
    const kept = this.#sizeBytes === undefined ? words : words.slice(0, this.#sizeBytes - 1);
    this.#text = Buffer.from(`${kept}\n`);
    this.#paddingBytes = (this.#sizeBytes ?? this.#text.length) - this.#text.length;
    this.#paddingStart = (this.#pid * 31 + this.#index * 1_009 + this.message * 7_919) % PADDING_BYTES;
  }

  #piece(mostBytes) {
    const wordsBytes = this.#text.length - 1;
    if (this.#paddingBytes === 0 || this.#offset < wordsBytes) {
      const end = this.#paddingBytes === 0 ? this.#text.length : wordsBytes;
      return this.#text.subarray(this.#offset, Math.min(end, this.#offset + mostBytes));
    }
    const padded = this.#offset - wordsBytes;
    if (padded < this.#paddingBytes) {
      const start = (this.#paddingStart + padded) % PADDING_BYTES;
      const end = start + Math.min(mostBytes, this.#paddingBytes - padded);
      return padding.subarray(start, end); // which stops at the block's end
    }
    return this.#text.subarray(wordsBytes);
  }
}

// Letters and digits by a linear congruential generator (the constants of ISO C's example of rand).
function makePadding() {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  const block = Buffer.alloc(PADDING_BYTES);
  let state = 1;
  for (let i = 0; i < block.length; i += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    block[i] = alphabet.charCodeAt((state >>> 16) % alphabet.length);
  }
  return block;
}
