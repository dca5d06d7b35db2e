/** A WebSocket frame as a server sends it (RFC 6455, section 5.2: no mask), in one piece. */
export class Frame {
  constructor(readonly bytes: Buffer) {}

  static text(text: string | Buffer) {
    return Frame.#of(1, Buffer.from(text));
  }

  static binary(payload: Buffer) {
    return Frame.#of(2, payload);
  }

  static #of(opcode: number, payload: Buffer) {
    const length = payload.length;
    const head = Buffer.alloc(length < 126 ? 2 : length < 1 << 16 ? 4 : 10);
    head[0] = 0x80 | opcode;
    head[1] = head.length === 2 ? length : head.length === 4 ? 126 : 127;
    if (head.length === 4) head.writeUInt16BE(length, 2);
    if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
    return new Frame(Buffer.concat([head, payload]));
  }

  get isText() {
    return ((this.bytes[0] ?? 0) & 0x0f) === 1;
  }

  get payload() {
    return this.bytes.subarray(this.bytes.length - (lengths(this.bytes)?.payload ?? 0));
  }
}

/** Of a frame that begins here: the length of its head and of what follows, if all of its head is there. */
function lengths(bytes: Buffer) {
  const short = (bytes[1] ?? 0) & 0x7f;
  const head = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < head) return undefined;
  const payload = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  return { head, payload };
}

/** Takes a server's side of a connection piece by piece: the answer to the upgrade, then frames, of which something else may come. */
export function framesOf(meddle: (frame: Frame) => Frame[]) {
  let left = Buffer.alloc(0);
  let isUpgraded = false;
  return (piece: Buffer): Buffer[] => {
    left = Buffer.concat([left, piece]);
    const out: Buffer[] = [];
    if (!isUpgraded) {
      const end = left.indexOf("\r\n\r\n");
      if (end < 0) return out;
      isUpgraded = true;
      out.push(left.subarray(0, end + 4));
      left = left.subarray(end + 4);
    }
    for (;;) {
      const { head, payload } = lengths(left) ?? { head: Infinity, payload: 0 };
      if (left.length < head + payload) return out;
      out.push(...meddle(new Frame(left.subarray(0, head + payload))).map(({ bytes }) => bytes));
      left = left.subarray(head + payload);
    }
  };
}
