import { expect, type Page, test } from "@playwright/test";

import type { Wire } from "./wire.ts";

/** Times the frames that the page draws from now on; asking for them ends it. */
export async function watchFrames(page: Page) {
  await page.evaluate(() => {
    const seen = { at: [] as number[], goes: true };
    const next = (now: number) => {
      seen.at.push(now);
      if (seen.goes) requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
    Object.assign(window, { framesSeen: seen });
  });
  return async () => {
    const at = await page.evaluate(() => {
      const seen = (window as unknown as { framesSeen: { at: number[]; goes: boolean } }).framesSeen;
      seen.goes = false;
      return seen.at;
    });
    const took = at.slice(1).map((now, place) => Math.round(now - (at[place] as number)));
    took.sort((one, other) => one - other);
    return {
      frames: took.length,
      median_ms: took[Math.floor(took.length / 2)] ?? 0,
      longest_ms: took.at(-1) ?? 0,
      over_50_ms: took.filter((ms) => ms > 50).length,
    };
  };
}

type Frames = Awaited<ReturnType<Awaited<ReturnType<typeof watchFrames>>>>;

/** A busy machine may lose a frame or two; a page that starves its browser loses many of them, or one for long. */
export function expectFluent(frames: Frames, most: Pick<Frames, "longest_ms" | "over_50_ms">) {
  expect(frames.frames).toBeGreaterThan(10);
  expect(frames.median_ms, "the median frame").toBeLessThanOrEqual(50);
  expect(frames.longest_ms, "the longest frame").toBeLessThanOrEqual(most.longest_ms);
  expect(frames.over_50_ms, "frames of more than 50 ms").toBeLessThanOrEqual(most.over_50_ms);
}

/** What the page holds when its garbage is gone. */
export async function holdings(page: Page) {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable");
  await page.requestGC();
  const { metrics } = await session.send("Performance.getMetrics");
  await session.detach();
  const metric = (name: string) => metrics.find((metric) => metric.name === name)?.value ?? NaN;
  const wasm = await page.evaluate(async () => {
    const glue = document.querySelector<HTMLLinkElement>('link[rel="modulepreload"]')?.href;
    // The very module that the page runs; asked again, it gives what it has.
    const { memory } = await (await import(glue as string)).default();
    return (memory as WebAssembly.Memory).buffer.byteLength;
  });
  return { heap: metric("JSHeapUsedSize"), nodes: metric("Nodes"), wasm };
}

type Holdings = Awaited<ReturnType<typeof holdings>>;

const MB = 1024 * 1024;

/** For the report, in MB. */
export const inMegabytes = ({ heap, nodes, wasm }: Holdings) => ({
  heap_mb: Number((heap / MB).toFixed(1)),
  nodes,
  wasm_mb: Number((wasm / MB).toFixed(1)),
});

/**
 * The rows are as many as before: so is what the page holds, but for what is compiled meanwhile, and wasm's memory never shrinks, so
 * that it may have grown by so many MB.
 */
export function expectNothingKept(before: Holdings, after: Holdings, wasm_mb = 16) {
  expect(after.heap, "the heap of JavaScript").toBeLessThanOrEqual(before.heap * 1.25 + 2 * MB);
  expect(after.nodes, "nodes of the document").toBeLessThanOrEqual(before.nodes * 1.1 + 100);
  expect(after.wasm, "the memory of wasm").toBeLessThanOrEqual(before.wasm + wasm_mb * MB);
}

type Begun = { sockets: number; ending: number; timers: number };

/**
 * What is left of all that the page has begun since its start: sockets that it has not let go, how many of them are ending, timers
 * that are to come.
 */
export async function watchBegun(page: Page) {
  await page.addInitScript(() => {
    const sockets: WeakRef<WebSocket>[] = [];
    window.WebSocket = class extends WebSocket {
      constructor(...parameters: ConstructorParameters<typeof WebSocket>) {
        super(...parameters);
        sockets.push(new WeakRef<WebSocket>(this));
      }
    };
    // By numbers of our own: wasm keeps them as 32 bits, and those of Playwright's clock are longer.
    const timers = new Map<number, number>();
    let begunTimers = 0;
    type Action = (...given: unknown[]) => void;
    const own = window as unknown as Record<
      "setTimeout" | "setInterval",
      (action: Action, delay?: number, ...given: unknown[]) => number
    > &
      Record<"clearTimeout" | "clearInterval", (timer?: number) => void>;
    for (const name of ["setTimeout", "setInterval"] as const) {
      const begin = own[name].bind(window);
      own[name] = (action, delay, ...given) => {
        const timer = ++begunTimers;
        const act = () => {
          if (name === "setTimeout") timers.delete(timer);
          action(...given);
        };
        timers.set(timer, begin(act, delay));
        return timer;
      };
    }
    for (const name of ["clearTimeout", "clearInterval"] as const) {
      const end = own[name].bind(window);
      own[name] = (timer) => {
        end(timers.get(timer ?? NaN));
        timers.delete(timer ?? NaN);
      };
    }
    const left = () => {
      const held = sockets.flatMap((socket) => socket.deref() ?? []);
      const ending = held.filter(({ readyState }) => readyState === WebSocket.CLOSING);
      return { sockets: held.length, ending: ending.length, timers: timers.size };
    };
    Object.assign(window, { begun: left });
  });
  return async () => {
    await page.requestGC();
    return page.evaluate(() => (window as unknown as { begun: () => Begun }).begun());
  };
}

/** The page's sockets, subscriptions, timers and memory, while all is well; to be asked after a fault whether all is back to that. */
export async function balance(page: Page, wire: Wire, begun: Awaited<ReturnType<typeof watchBegun>>) {
  const alive = () => [...new Set(wire.alive)].sort();
  const subscribed = alive();
  expect(subscribed.length).toBeGreaterThan(0);
  const before = await begun();
  expect(before.sockets).toBe(1);
  const held = await holdings(page);
  /**
   * Of so many sockets the end may be unheard of: the browser says goodbye over a dead link for a minute, and of one that a page left
   * when it went into the cache the test is never told.
   */
  return async (what: string, { unheard = 0, wasm_mb = undefined as number | undefined } = {}) => {
    await expect.poll(() => Math.max(1, wire.open - unheard), "sockets that are open").toBe(1);
    await expect.poll(alive, "subscriptions").toEqual(subscribed);
    await expect.poll(async () => (await begun()).timers, "timers").toBeLessThanOrEqual(before.timers);
    const open = async () => {
      const { sockets, ending } = await begun();
      return unheard > 0 ? sockets - ending : sockets;
    };
    await expect.poll(open, "sockets that the page holds").toBe(1);
    const left = await holdings(page);
    const description = `${what}: ${JSON.stringify({ before: inMegabytes(held), after: inMegabytes(left) })}`;
    test.info().annotations.push({ type: "link", description });
    expectNothingKept(held, left, wasm_mb);
  };
}
