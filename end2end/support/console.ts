import { expect, type Page } from "@playwright/test";

/** What a page complains about: warnings (hydration's among them), errors, and panics of the wasm module. */
export class ConsoleWatch {
  readonly #complaints: string[] = [];
  readonly #allowed: RegExp[] = [];

  watch(page: Page) {
    page.on("console", (message) => {
      if (["warning", "error"].includes(message.type())) {
        this.#complaints.push(`${message.type()}: ${message.text()} (${message.location().url})`);
      }
    });
    page.on("pageerror", (error) => this.#complaints.push(`page error: ${error.stack ?? error.message}`));
    page.on("crash", () => this.#complaints.push("the page crashed"));
  }

  /** For a test that breaks something on purpose: what the browser itself will say about it. */
  allow(...complaints: RegExp[]) {
    this.#allowed.push(...complaints);
  }

  check() {
    const left = this.#complaints.filter((complaint) => !this.#allowed.some((allowed) => allowed.test(complaint)));
    expect(left, "the browser's console").toEqual([]);
  }
}

/** A server that is down, or that refuses: Chromium reports each failed request and socket by itself. */
export const BROKEN_LINK = /Failed to load resource|WebSocket connection to|net::ERR_/;
