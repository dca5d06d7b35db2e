import http from "node:http";
import net, { type AddressInfo } from "node:net";
import { type Duplex, Transform } from "node:stream";

import { baseURL } from "./environment.ts";
import { type Frame, framesOf } from "./frame.ts";

/** A gateway before the demo server that knows nothing of WebSockets: an upgrade arrives as a plain request, and is answered as one. */
export class Gateway {
  readonly #server = http.createServer((request, response) => this.#pass(request, response));
  readonly #tunnels = new Set<Duplex>();
  /** The browser's ends of the sockets that are open. */
  readonly #browsers = new Set<Duplex>();
  #opened = 0;
  #meddle = (frame: Frame): Frame[] => [frame];

  static async listen() {
    const gateway = new Gateway();
    await new Promise<void>((resolve) => gateway.#server.listen(0, "127.0.0.1", resolve));
    return gateway;
  }

  get url() {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** From now on it knows them. */
  letUpgrade() {
    this.#server.on("upgrade", (request, near, head) => this.#tunnel(request, near, head));
  }

  /** How many sockets it ever let through. */
  get opened() {
    return this.#opened;
  }

  /** From now on, what comes of each frame of the server. */
  meddle(meddle: (frame: Frame) => Frame[]) {
    this.#meddle = meddle;
  }

  /** Puts a frame before every page that is there, which the server never sent. */
  say(frame: Frame) {
    for (const browser of this.#browsers) browser.write(frame.bytes);
  }

  /** What is connected is lost. */
  cut() {
    for (const tunnel of this.#tunnels) tunnel.destroy();
  }

  close() {
    this.cut();
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #pass(request: http.IncomingMessage, response: http.ServerResponse) {
    const { connection: _, upgrade: __, ...headers } = request.headers;
    const options = { agent: false, method: request.method, path: request.url, headers };
    const passed = http.request(baseURL, options, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    passed.on("error", () => response.destroy());
    response.on("close", () => passed.destroy());
    request.pipe(passed);
  }

  #tunnel(request: http.IncomingMessage, near: Duplex, head: Buffer) {
    const { hostname, port } = new URL(baseURL);
    const far = net.connect(Number(port || 80), hostname);
    const headers = request.rawHeaders.map((text, place) => text + (place % 2 === 0 ? ": " : "\r\n"));
    far.write(`${request.method} ${request.url} HTTP/1.1\r\n${headers.join("")}\r\n`);
    far.write(head);
    const frames = framesOf((frame) => this.#meddle(frame));
    const meddled = new Transform({
      transform: (chunk: Buffer, _, done) => done(null, Buffer.concat(frames(chunk))),
    });
    this.#opened += 1;
    this.#browsers.add(near);
    near.on("close", () => this.#browsers.delete(near));
    near.pipe(far);
    far.pipe(meddled).pipe(near);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#tunnels.add(one);
      // "close" follows, and ends the other end, too.
      one.on("error", () => {});
      one.on("close", () => {
        this.#tunnels.delete(one);
        other.destroy();
      });
    }
  }
}
