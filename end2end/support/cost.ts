import { expect, type Page } from "@playwright/test";

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

/** The rows are as many as before: so is what the page holds, but for what is compiled meanwhile, and wasm's memory never shrinks. */
export function expectNothingKept(before: Holdings, after: Holdings) {
  expect(after.heap, "the heap of JavaScript").toBeLessThanOrEqual(before.heap * 1.25 + 2 * MB);
  expect(after.nodes, "nodes of the document").toBeLessThanOrEqual(before.nodes * 1.1 + 100);
  expect(after.wasm, "the memory of wasm").toBeLessThanOrEqual(before.wasm + 16 * MB);
}

type Begun = { sockets: number; timers: number };

/** What is left of all that the page has begun since its start: sockets that it has not let go, timers that are to come. */
export async function watchBegun(page: Page) {
  await page.addInitScript(() => {
    const sockets: WeakRef<WebSocket>[] = [];
    window.WebSocket = class extends WebSocket {
      constructor(...parameters: ConstructorParameters<typeof WebSocket>) {
        super(...parameters);
        sockets.push(new WeakRef<WebSocket>(this));
      }
    };
    const timers = new Set<number>();
    type Action = (...given: unknown[]) => void;
    const own = window as unknown as Record<
      "setTimeout" | "setInterval",
      (action: Action, delay?: number, ...given: unknown[]) => number
    > &
      Record<"clearTimeout" | "clearInterval", (timer?: number) => void>;
    for (const name of ["setTimeout", "setInterval"] as const) {
      const begin = own[name].bind(window);
      own[name] = (action, delay, ...given) => {
        const act = () => {
          if (name === "setTimeout") timers.delete(timer);
          action(...given);
        };
        const timer = begin(act, delay);
        timers.add(timer);
        return timer;
      };
    }
    for (const name of ["clearTimeout", "clearInterval"] as const) {
      const end = own[name].bind(window);
      own[name] = (timer) => {
        if (timer !== undefined) timers.delete(timer);
        end(timer);
      };
    }
    const left = () => ({ sockets: sockets.filter((socket) => socket.deref() !== undefined).length, timers: timers.size });
    Object.assign(window, { begun: left });
  });
  return async () => {
    await page.requestGC();
    return page.evaluate(() => (window as unknown as { begun: () => Begun }).begun());
  };
}
