import { post } from "./control.ts";
import { baseURL } from "./environment.ts";

/** A way of its own to the demo server, which can be made bad: what is set stays until something else is. */
export class Link {
  readonly #port: string;

  private constructor(readonly url: string) {
    this.#port = new URL(url).port;
  }

  static async open() {
    return new Link(await post(`/relay/open?to=${new URL(baseURL).port}`));
  }

  /** What is sent arrives. */
  pass = () => this.#set("pass");
  /** Every connection, those to come too, ends after so many more bytes of the answer. */
  cutAfter = (bytes: number) => this.#set(`cut-after&bytes=${bytes}`);
  /** What is sent vanishes, and nobody is told; what is connected by then stays dead when this is over. */
  halfOpen = () => this.#set("half-open");
  /** So many bytes a second, each way, on each connection. */
  slow = (rate: number) => this.#set(`slow&rate=${rate}`);
  /** Everything comes later, by the first and up to the second more, in milliseconds. */
  delay = (least: number, more: number) => this.#set(`delay&least=${least}&more=${more}`);
  /** Segments of so many bytes. */
  split = (bytes: number) => this.#set(`split&bytes=${bytes}`);
  /** What comes within so many milliseconds goes in one segment. */
  merge = (within: number) => this.#set(`merge&within=${within}`);
  /** Nobody listens, and what is connected is lost. */
  refuse = () => this.#set("refuse");
  /** A proxy answers everything with 502, and what is connected is lost. */
  badGateway = () => this.#set("bad-gateway");
  /** What is connected ends now; what comes after passes. */
  cut = () => post(`/relay/cut?relay=${this.#port}`);
  close = () => post(`/relay/close?relay=${this.#port}`);

  #set(fault: string) {
    return post(`/relay/set?relay=${this.#port}&fault=${fault}`);
  }
}
