import type { Page } from "@playwright/test";

type Json = Record<string, unknown>;
export type Entry =
  | { kind: "open" | "close"; socket: number }
  | { kind: "sent" | "received"; socket: number; frame: Json }
  | { kind: "request"; method: string; path: string };

/** Everything that a page and the demo server say to each other about rows, in the order in which it happened. */
export class Wire {
  readonly entries: Entry[] = [];
  #sockets = 0;

  constructor(page: Page) {
    page.on("request", (request) => {
      const { pathname, search } = new URL(request.url());
      if (pathname.startsWith("/directus/")) {
        this.entries.push({ kind: "request", method: request.method(), path: pathname + search });
      }
    });
    page.on("websocket", (websocket) => {
      // `cargo leptos watch` has a socket of its own.
      if (!new URL(websocket.url()).pathname.startsWith("/directus-ws")) return;
      const socket = ++this.#sockets;
      this.entries.push({ kind: "open", socket });
      websocket.on("framesent", ({ payload }) => this.#frame("sent", socket, payload));
      websocket.on("framereceived", ({ payload }) => this.#frame("received", socket, payload));
      websocket.on("close", () => this.entries.push({ kind: "close", socket }));
    });
  }

  #frame(kind: "sent" | "received", socket: number, payload: string | Buffer) {
    try {
      this.entries.push({ kind, socket, frame: JSON.parse(payload.toString()) as Json });
    } catch {
      // No frame of Directus: a test says such things to pages.
    }
  }

  /** How many sockets were ever opened. */
  get opened() {
    return this.#sockets;
  }

  /** How many are open now. */
  get open() {
    return this.#count((entry) => entry.kind === "open") - this.#count((entry) => entry.kind === "close");
  }

  /** Reads of rows of a collection, by HTTP or over the socket: their places in the order of things. */
  rowReads(collection: string): number[] {
    return this.#places(
      (entry) =>
        (entry.kind === "request" &&
          ["GET", "SEARCH"].includes(entry.method) &&
          new RegExp(`^/directus/items/${collection}(?:[/?]|$)`).test(entry.path)) ||
        (entry.kind === "sent" &&
          entry.frame.type === "items" &&
          entry.frame.action === "read" &&
          entry.frame.collection === collection),
    );
  }

  /** How many frames came that name this subscription. */
  received(uid: string): number {
    return this.#count((entry) => entry.kind === "received" && entry.frame.uid === uid);
  }

  /** Places of the subscriptions that were asked for. */
  get subscribes(): number[] {
    return this.#places((entry) => entry.kind === "sent" && entry.frame.type === "subscribe");
  }

  /** Places of Directus's acknowledgements. */
  get acknowledgements(): number[] {
    return this.#places(
      (entry) => entry.kind === "received" && entry.frame.type === "subscription" && entry.frame.event === "init",
    );
  }

  /** Places of the acknowledgements of one collection's subscriptions. */
  acknowledgementsOf(collection: string): number[] {
    const uids = new Set(
      this.entries.flatMap((entry) =>
        entry.kind === "sent" && entry.frame.type === "subscribe" && entry.frame.collection === collection
          ? [String(entry.frame.uid)]
          : [],
      ),
    );
    return this.acknowledgements.filter((place) => {
      const entry = this.entries[place];
      return entry?.kind === "received" && uids.has(String(entry.frame.uid));
    });
  }

  /** The name of the last subscription to one kind of event of a collection. */
  uidOf(collection: string, event: string): string {
    const names = this.entries.flatMap((entry) =>
      entry.kind === "sent" &&
      entry.frame.type === "subscribe" &&
      entry.frame.collection === collection &&
      entry.frame.event === event
        ? [String(entry.frame.uid)]
        : [],
    );
    const name = names.at(-1);
    if (name === undefined) throw new Error(`nobody has subscribed to ${event} of ${collection}`);
    return name;
  }

  /** Subscriptions that are alive: asked for, not ended, on a socket that is open. */
  get alive(): string[] {
    const alive = new Map<number, Set<string>>();
    for (const entry of this.entries) {
      if (entry.kind === "open") alive.set(entry.socket, new Set());
      if (entry.kind === "close") alive.delete(entry.socket);
      if (entry.kind !== "sent") continue;
      const { type, uid } = entry.frame;
      if (type === "subscribe") alive.get(entry.socket)?.add(String(uid));
      if (type === "unsubscribe" && uid === undefined) alive.get(entry.socket)?.clear();
      if (type === "unsubscribe") alive.get(entry.socket)?.delete(String(uid));
    }
    return [...alive.values()].flatMap((uids) => [...uids]);
  }

  #places(is: (entry: Entry) => boolean): number[] {
    return this.entries.flatMap((entry, place) => (is(entry) ? [place] : []));
  }

  #count(is: (entry: Entry) => boolean): number {
    return this.#places(is).length;
  }
}
