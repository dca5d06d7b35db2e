import http from "node:http";
import net, { type AddressInfo } from "node:net";
import type { Duplex } from "node:stream";

import { baseURL } from "./environment.ts";

/** A gateway before the demo server that knows nothing of WebSockets: an upgrade arrives as a plain request, and is answered as one. */
export class Gateway {
  readonly #server = http.createServer((request, response) => this.#pass(request, response));
  readonly #tunnels = new Set<Duplex>();

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

  close() {
    for (const tunnel of this.#tunnels) tunnel.destroy();
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
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#tunnels.add(one);
      one.pipe(other);
      // "close" follows, and ends the other end, too.
      one.on("error", () => {});
      one.on("close", () => {
        this.#tunnels.delete(one);
        other.destroy();
      });
    }
  }
}
