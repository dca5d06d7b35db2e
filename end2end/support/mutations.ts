import type { Locator, Page } from "@playwright/test";

export type Mutation = { type: string; key: string | null; node: string; attribute: string | null; isStatus: boolean };

/** Watches a list from now on. */
export async function watchMutations(list: Locator) {
  await list.evaluate((root) => {
    const seen: object[] = [];
    const observer = new MutationObserver((records) => {
      for (const { type, target, attributeName } of records) {
        const element = target instanceof Element ? target : target.parentElement;
        seen.push({
          type,
          key: element?.closest("[data-key]")?.getAttribute("data-key") ?? null,
          node: element?.outerHTML.slice(0, 200) ?? "",
          attribute: attributeName,
          isStatus: element?.closest("[role=status]") !== null,
        });
      }
    });
    observer.observe(root, { subtree: true, childList: true, characterData: true, attributes: true });
    Object.assign(window, { mutationsSeen: seen });
  });
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

/** Watches from the page's first paint on what moves without anybody's doing; gives what has moved until it is asked. */
export async function watchShifts(page: Page) {
  await page.addInitScript(() => {
    const shifts: object[] = [];
    type Shift = PerformanceEntry & { value: number; sources: { node?: Node }[] };
    const note = (entries: PerformanceEntryList) => {
      for (const { value, sources } of entries as Shift[]) {
        shifts.push({ value, nodes: sources.map(({ node }) => (node as Element | undefined)?.outerHTML?.slice(0, 200)) });
      }
    };
    const observer = new PerformanceObserver((list) => note(list.getEntries()));
    observer.observe({ type: "layout-shift", buffered: true });
    // What was measured and not yet told counts as well.
    Object.assign(window, { shiftsSeen: () => (note(observer.takeRecords()), shifts) });
  });
  return () => page.evaluate(() => (window as unknown as { shiftsSeen: () => object[] }).shiftsSeen());
}
