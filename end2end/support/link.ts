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
  /** Nobody listens, and what is connected is lost. */
  refuse = () => this.#set("refuse");
  /** What is connected ends now; what comes after passes. */
  cut = () => post(`/relay/cut?relay=${this.#port}`);
  close = () => post(`/relay/close?relay=${this.#port}`);

  #set(fault: string) {
    return post(`/relay/set?relay=${this.#port}&fault=${fault}`);
  }
}
