import type { Locator, Page } from "@playwright/test";

/** Something moved: when, in milliseconds of the page, and how much of what is seen (1 is all of it). */
export type Shift = { at: number; value: number; nodes: (string | undefined)[]; rects: object[] };

export type Mutation = { type: string; key: string | null; node: string; attribute: string | null };

/** Watches a part of the page from now on, but for what is inside of `except`. */
export async function watchMutations(part: Locator, except = ":not(*)") {
  await part.evaluate((root, except) => {
    const seen: object[] = [];
    const observer = new MutationObserver((records) => {
      for (const { type, target, attributeName } of records) {
        const element = target instanceof Element ? target : target.parentElement;
        if (element?.closest(except)) continue;
        seen.push({
          type,
          key: element?.closest("[data-key]")?.getAttribute("data-key") ?? null,
          node: element?.outerHTML.slice(0, 200) ?? "",
          attribute: attributeName,
        });
      }
    });
    observer.observe(root, { subtree: true, childList: true, characterData: true, attributes: true });
    Object.assign(window, { mutationsSeen: seen });
  }, except);
}

/** What happened in the list since. */
export function mutations(page: Page): Promise<Mutation[]> {
  return page.evaluate(() => (window as unknown as { mutationsSeen: Mutation[] }).mutationsSeen);
}

/** Holds the page's scripts until `release` is called: what the server sent stands there alone. */
export async function holdScripts(page: Page) {
  let release = () => {};
  const gate = new Promise<void>((resolve) => (release = resolve));
  await page.route(/\/pkg\/.*\.(?:js|wasm)(?:\?|$)/, async (route) => {
    await gate;
    await route.continue();
  });
  return { release };
}

/**
 * Watches from the page's first paint on what moves without anybody's doing, but for what is inside of `except`; gives what has
 * moved until it is asked.
 */
export async function watchShifts(page: Page, except = ":not(*)") {
  await page.addInitScript((except) => {
    const shifts: object[] = [];
    type Shift = PerformanceEntry & { value: number; sources: { node?: Node; previousRect: DOMRect; currentRect: DOMRect }[] };
    const note = (entries: PerformanceEntryList) => {
      for (const { startTime, value, sources } of entries as Shift[]) {
        const elements = sources.map(({ node }) => (node instanceof Element ? node : node?.parentElement));
        if (elements.length > 0 && elements.every((element) => element?.closest(except))) continue;
        const rects = sources.map(({ previousRect, currentRect }) => ({ from: previousRect.toJSON(), to: currentRect.toJSON() }));
        shifts.push({ at: startTime, value, nodes: elements.map((element) => element?.outerHTML.slice(0, 200)), rects });
      }
    };
    const observer = new PerformanceObserver((list) => note(list.getEntries()));
    observer.observe({ type: "layout-shift", buffered: true });
    // What was measured and not yet told counts as well.
    Object.assign(window, { shiftsSeen: () => (note(observer.takeRecords()), shifts) });
  }, except);
  return () => page.evaluate(() => (window as unknown as { shiftsSeen: () => Shift[] }).shiftsSeen());
}
